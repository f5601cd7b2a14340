/* A client and a server that talk over TLS, in one program. The server's certificate is made
 * on the spot, for localhost, and the client trusts no other. The second client asks for
 * somebody else, and hangs up.
 *
 * Prints:
 *     server: TLS 1.3
 *     client: CN=localhost says HELLO, KIN
 *     server: the peer ended TLS with an alert
 *     client: TLS with example.org: certificate verify failed: hostname mismatch
 */
#include <ctype.h>
#include <errno.h>
#include <kin.h>
#include <kin_tls.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

struct site {
    char pem[4096];             /* the certificate, and its key */
    kin_tls_context *server, *client;
    int listener;
    struct sockaddr_in address;
};

/* --------------------------------------------------------------- the certificate */

static bool describe(X509 *x, EVP_PKEY *key)
{
    X509_NAME *name = X509_get_subject_name(x);

    return X509_gmtime_adj(X509_getm_notBefore(x), 0) &&
           X509_gmtime_adj(X509_getm_notAfter(x), 3600) && X509_set_pubkey(x, key) == 1 &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost",
                                      -1, -1, 0) == 1 &&
           X509_set_issuer_name(x, name) == 1 && X509_sign(x, key, EVP_sha256()) > 0;
}

static int make_certificate(char *pem, int size)
{
    X509 *x = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    int n = -1;

    if (x && key && bio && describe(x, key) && PEM_write_bio_X509(bio, x) == 1 &&
        PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1)
        n = BIO_read(bio, pem, size - 1);
    BIO_free(bio);
    EVP_PKEY_free(key);
    X509_free(x);
    pem[n > 0 ? n : 0] = 0;
    return n > 0 ? 0 : -ENOMEM;
}

/* ---------------------------------------------------------------------- the server */

/* Says in capitals what it is told. */
static int shout(kin_stream *s)
{
    char *line;
    int rc = kin_stream_read_line(s, &line, NULL);

    for (char *c = line; rc > 0 && *c; c++)
        *c = (char)toupper((unsigned char)*c);
    if (rc > 0)
        rc = kin_stream_printf(s, "%s\n", line);
    return rc < 0 ? rc : kin_stream_end(s);
}

static int serve_client(struct site *site, int fd)
{
    struct kin_tls_facts facts;
    kin_stream s;
    int rc = kin_tls_accept(&s, fd, site->server);

    if (kin_class(rc) == KIN_CLASS_TLS) {
        printf("server: %s\n", kin_code_text(rc));
        return 0;                       /* that client's matter */
    }
    if (rc < 0)
        return rc;
    kin_tls_facts(&s, &facts);
    printf("server: TLS %d.%d\n", facts.version / 10, facts.version % 10);
    rc = shout(&s);
    kin_stream_close(&s);
    return rc;
}

static int serve(void *arg)
{
    struct site *site = arg;
    int rc = 0;

    for (int i = 0; rc >= 0 && i < 2; i++) {
        rc = kin_accept(site->listener);
        if (rc >= 0)
            rc = serve_client(site, rc);
    }
    kin_close(site->listener);          /* nobody waits for a server that has gone */
    site->listener = -1;
    return rc;
}

/* ---------------------------------------------------------------------- the client */

static int talk(const struct site *site, const char *host)
{
    struct kin_tls_facts facts;
    kin_stream s;
    char *line;
    int fd = kin_connect((const struct sockaddr *)&site->address, sizeof site->address);
    int rc = fd < 0 ? fd : kin_tls_connect(&s, fd, site->client, .host = host);

    if (rc < 0)
        return rc;                      /* the descriptor has been closed */
    rc = kin_stream_printf(&s, "hello, kin\n");
    if (rc == 0)
        rc = kin_stream_end(&s);        /* this is all */
    if (rc == 0)
        rc = kin_stream_read_line(&s, &line, NULL);
    if (rc > 0 && (rc = kin_tls_facts(&s, &facts)) == 0)
        printf("client: %s says %s\n", facts.peer, line);
    kin_stream_close(&s);
    return rc;
}

static int visit(struct site *site)
{
    kin_group g = kin_group_open();
    char why[256] = "welcome";
    int rc;

    kin_spawn(&g, serve, site, .name = "server");
    rc = talk(site, "localhost");
    if (rc >= 0)
        rc = talk(site, "example.org");
    if (rc == KIN_ETLS_CERTIFICATE) {   /* as it should */
        snprintf(why, sizeof why, "%s", kin_error_last()->message);
        rc = 0;
    }
    rc = kin_group_close(&g, rc);
    if (rc == 0)
        printf("client: %s\n", why);
    return rc;
}

static int run(void *arg)
{
    struct site *site = arg;
    socklen_t length = sizeof site->address;
    int rc;

    site->address = (struct sockaddr_in){ .sin_family = AF_INET,
                                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    site->listener = kin_listen((const struct sockaddr *)&site->address, length, 0);
    if (site->listener < 0)
        return site->listener;
    rc = getsockname(site->listener, (struct sockaddr *)&site->address, &length) < 0 ? -errno : 0;
    if (rc == 0)
        rc = visit(site);
    if (site->listener >= 0)
        kin_close(site->listener);
    return rc;
}

int main(void)
{
    static struct site site;
    int rc = make_certificate(site.pem, sizeof site.pem);

    if (rc == 0)
        rc = kin_tls_server_open(&site.server, .certificate.pem = site.pem);
    if (rc == 0)
        rc = kin_tls_client_open(&site.client, .ca_pem = site.pem);
    if (rc == 0)
        rc = kin_main(run, &site);
    kin_tls_context_free(site.server);
    kin_tls_context_free(site.client);
    return rc < 0 ? 1 : rc;
}
