/* The record of a request, from one use to the next.
 *
 * Making an easy handle and its buffers is a good part of a small request, so a
 * record that is over keeps them for the next one, of which nothing may be seen
 * of the last: it is built anew from what is named here, so that a new member is
 * forgotten unless somebody says otherwise.
 */
#include "http.h"

#include <stdlib.h>

static void free_bytes(struct kin__http_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct kin__http_bytes){ 0 };
}

void kin__http_transfer_free(struct kin__http_transfer *t)
{
    curl_easy_cleanup(t->easy);
    free_bytes(&t->head);
    free_bytes(&t->body);
    free_bytes(&t->drain);
    free_bytes(&t->upload);
    kin__http_settings_forget(t);
    free(t);
}

/* Pieces of streams are all of one size; a body in memory may have any. The settings of
 * the easy handle are known as long as nothing goes wrong. */
void kin__http_transfer_clear(struct kin__http_transfer *t)
{
    struct kin__http_transfer kept = { .driver = t->driver, .sockets = t->sockets,
                                       .easy = t->easy, .next = t->next,
                                       .posted = t->posted, .head = t->head, .body = t->body,
                                       .drain = t->drain, .upload = t->upload };

    if (!t->over || t->result < 0)
        kin__http_settings_forget(t);
    kept.settings = t->settings;
    if (!t->streams)
        free_bytes(&kept.body);
    if (kept.head.capacity > KIN__HTTP_PIECE)
        free_bytes(&kept.head);
    kept.head.used = kept.body.used = kept.drain.used = kept.upload.used = 0;
    curl_slist_free_all(t->headers);
    *t = kept;
}

void kin__http_list_add(struct kin__http_transfer **list, struct kin__http_transfer *t)
{
    assert(!t->link);
    t->next_listed = *list;
    t->link = list;
    if (*list)
        (*list)->link = &t->next_listed;
    *list = t;
}

void kin__http_list_remove(struct kin__http_transfer *t)
{
    if (!t->link)
        return;
    *t->link = t->next_listed;
    if (t->next_listed)
        t->next_listed->link = t->link;
    t->link = NULL;
}
