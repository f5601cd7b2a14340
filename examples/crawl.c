/* A hundred pages, five at a time, all within three seconds.
 *
 *     example-crawl http://127.0.0.1:8080/page/
 *
 * Prints what failed, and why, as a tree; exits with 0, 1 or 124. */
#include <kin.h>
#include <kin_http.h>

struct page {
    char url[256];
    int status;
};

struct site {
    struct page page[100];
    size_t count;
};

static int fetch(void *arg)
{
    struct page *page = arg;
    kin_http_response response = { 0 };
    int rc = kin_http_get(page->url, &response);    /* blocks; obeys every limit around it */

    if (rc == 0)
        rc = kin_http_check(&response);             /* 400 and above are failures here */
    if (rc == 0)
        page->status = response.status;
    kin_http_response_free(&response);
    return rc;                                      /* the error knows which URL, and why */
}

static int crawl(void *arg)
{
    struct site *site = arg;
    kin_group g = kin_group_open(.name = "crawl", .limit = 5, .timeout = KIN_S(3));

    for (size_t i = 0; i < site->count; i++)
        kin_spawn(&g, fetch, &site->page[i], .name = site->page[i].url);
    return kin_group_close(&g, 0);  /* here every fetch has ended, whatever happened */
}

int main(int argc, char **argv)
{
    static struct site site = { .count = 100 };
    int rc;

    if (argc != 2) {
        fprintf(stderr, "usage: example-crawl BASE-URL\n");
        return 2;
    }
    for (size_t i = 0; i < site.count; i++)
        snprintf(site.page[i].url, sizeof site.page[i].url, "%s%zu", argv[1], i);
    rc = kin_main(crawl, &site);
    for (size_t i = 0; i < site.count; i++)
        if (site.page[i].status)
            printf("%d %s\n", site.page[i].status, site.page[i].url);
    return rc;
}
