/* The helpers of tls_test.h. */
#include "tls_test.h"

#include "tls/tls.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <unistd.h>

/* ------------------------------------------------------------- certificates */

struct made {
    X509 *certificate;
    EVP_PKEY *key;
    char *pem, *key_pem, *path;
};

static struct made all[IDENTITIES], intermediate;
static char directory[64];

static const struct {
    const char *name, *names;           /* CN, and what it is for */
    struct made *issuer;
    bool authority;
    int days;
} wanted[IDENTITIES] = {
    [CA] = { "kin test CA", NULL, &all[CA], true, 30 },
    [OTHER_CA] = { "some other CA", NULL, &all[OTHER_CA], true, 30 },
    [SERVER] = { "server", "DNS:localhost,DNS:*.example.org,IP:127.0.0.1", &all[CA], false, 30 },
    [SECOND] = { "second", "DNS:second.example.net", &all[CA], false, 30 },
    [EXPIRED] = { "expired", "DNS:localhost", &all[CA], false, -1 },
    [FORGED] = { "forged", "DNS:localhost", &all[OTHER_CA], false, 30 },
    [CHAINED] = { "chained", "DNS:localhost", &intermediate, false, 30 },
    [RSA_SERVER] = { "rsa", "DNS:localhost", &all[CA], false, 30 },
    [CLIENT] = { "alice", NULL, &all[CA], false, 30 },
};

static void add_extension(X509 *certificate, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    CHECK(extension && X509_add_ext(certificate, extension, -1));
    X509_EXTENSION_free(extension);
}

static void make(struct made *made, const char *name, const char *names, struct made *issuer,
                 bool authority, int days)
{
    static long serial = 1;
    X509 *certificate = made->certificate = X509_new();

    if (!made->key)
        made->key = EVP_EC_gen("P-256");
    CHECK(certificate && made->key);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -10 * 86400);
    X509_gmtime_adj(X509_getm_notAfter(certificate), days * 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer->certificate));
    X509_set_pubkey(certificate, made->key);
    add_extension(certificate, issuer->certificate, NID_basic_constraints,
                  authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (names)
        add_extension(certificate, issuer->certificate, NID_subject_alt_name, names);
    CHECK(X509_sign(certificate, issuer->key, EVP_sha256()) > 0);
}

static char *text_of(BIO *bio)
{
    char *data, *text;
    long size = BIO_get_mem_data(bio, &data);

    text = strndup(data, (size_t)size);
    CHECK(text != NULL);
    BIO_free(bio);
    return text;
}

static const struct made *get(enum identity who)
{
    struct made *made = &all[who];
    BIO *bio;

    if (made->pem)
        return made;
    if (wanted[who].issuer != made && wanted[who].issuer != &intermediate)
        get((enum identity)(wanted[who].issuer - all));
    if (who == CHAINED) {
        get(CA);
        make(&intermediate, "intermediate", NULL, &all[CA], true, 30);
    }
    if (who == RSA_SERVER)
        made->key = EVP_RSA_gen(4096);
    make(made, wanted[who].name, wanted[who].names, wanted[who].issuer, wanted[who].authority,
         wanted[who].days);
    bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_X509(bio, made->certificate));
    if (who == CHAINED)
        CHECK(PEM_write_bio_X509(bio, intermediate.certificate));
    if (!wanted[who].authority)
        CHECK(PEM_write_bio_PrivateKey(bio, made->key, NULL, NULL, 0, NULL, NULL));
    made->pem = text_of(bio);
    bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_PrivateKey(bio, made->key, NULL, NULL, 0, NULL, NULL));
    made->key_pem = text_of(bio);
    return made;
}

const char *pem(enum identity who)
{
    return get(who)->pem;
}

const char *key_of(enum identity who)
{
    return get(who)->key_pem;
}

unsigned long hash_of(enum identity who)
{
    return X509_subject_name_hash(get(who)->certificate);
}

const char *scratch(const char *name)
{
    static char path[4][128];
    static unsigned next;

    if (!directory[0]) {
        strcpy(directory, "/tmp/kin-tls-XXXXXX");
        CHECK(mkdtemp(directory) != NULL);
    }
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", directory, name);
    return path[next];
}

const char *pem_file(enum identity who)
{
    struct made *made = &all[who];
    char name[16];
    FILE *file;

    if (made->path)
        return made->path;
    snprintf(name, sizeof name, "%d.pem", (int)who);
    made->path = strdup(scratch(name));
    file = fopen(made->path, "w");
    CHECK(file && fputs(pem(who), file) >= 0 && fclose(file) == 0);
    return made->path;
}

static void forget(struct made *made)
{
    X509_free(made->certificate);
    EVP_PKEY_free(made->key);
    free(made->pem);
    free(made->key_pem);
    free(made->path);
    *made = (struct made){ 0 };
}

void pki_begin(void)
{
    CHECK(OPENSSL_init_ssl(0, NULL) == 1);
}

void pki_end(void)
{
    char command[128];

    for (int i = 0; i < IDENTITIES; i++)
        forget(&all[i]);
    forget(&intermediate);
    if (directory[0]) {
        snprintf(command, sizeof command, "rm -r %s", directory);
        CHECK_INT(system(command), 0);
        directory[0] = 0;
    }
}

/* -------------------------------------------------------------- connections */

kin_tls_context *client_context(void)
{
    kin_tls_context *context;

    CHECK_CODE(kin_tls_client_open(&context, .ca_pem = pem(CA)), 0);
    return context;
}

kin_tls_context *server_context(void)
{
    kin_tls_context *context;

    CHECK_CODE(kin_tls_server_open(&context, .certificate.pem = pem(SERVER)), 0);
    return context;
}

struct side {
    struct pair *pair;
    int fd;
};

static void note_why(char why[256])
{
    const kin_error *error = kin_error_last();

    snprintf(why, 256, "%s", error ? error->message : "");
}

static int be_client(void *arg)
{
    struct side *side = arg;
    struct pair *pair = side->pair;

    pair->client_code = kin_tls_connect(&pair->client, side->fd, pair->client_context,
                                        .host = pair->host, .session = pair->session);
    note_why(pair->client_why);
    return 0;
}

static int be_server(void *arg)
{
    struct side *side = arg;

    side->pair->server_code = kin_tls_accept(&side->pair->server, side->fd,
                                             side->pair->server_context);
    note_why(side->pair->server_why);
    return 0;
}

void shake_hands(struct pair *pair, int client_fd, int server_fd)
{
    struct side client = { pair, client_fd }, server = { pair, server_fd };
    kin_group g = kin_group_open();

    if (!pair->host)
        pair->host = "localhost";
    CHECK_CODE(kin_spawn(&g, be_client, &client, .name = "client"), 0);
    CHECK_CODE(kin_spawn(&g, be_server, &server, .name = "server"), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static void connect_over(struct pair *pair, void (*connect)(int fds[2]))
{
    int fds[2];

    if (!pair->client_context)
        pair->client_context = client_context();
    if (!pair->server_context)
        pair->server_context = server_context();
    connect(fds);
    shake_hands(pair, fds[0], fds[1]);
}

void connect_pair(struct pair *pair)
{
    connect_over(pair, tcp_pair);
}

static void must_be_well(const struct pair *pair)
{
    if (pair->client_code < 0 || pair->server_code < 0)
        FAIL("client: %s; server: %s", pair->client_why, pair->server_why);
}

void make_pair(struct pair *pair)
{
    connect_over(pair, tcp_pair);
    must_be_well(pair);
}

void make_unix_pair(struct pair *pair)
{
    connect_over(pair, unix_pair);
    must_be_well(pair);
}

void close_pair(struct pair *pair)
{
    CHECK_CODE(kin_stream_close(&pair->client), 0);
    CHECK_CODE(kin_stream_close(&pair->server), 0);
    kin_tls_context_free(pair->client_context);
    kin_tls_context_free(pair->server_context);
}

void say(kin_stream *from, kin_stream *to, const char *text)
{
    char buffer[256];
    size_t size = strlen(text);

    CHECK_CODE(kin_stream_write(from, text, size, NULL), 0);
    CHECK_CODE(kin_stream_flush(from), 0);
    CHECK_CODE(kin_stream_read_exactly(to, buffer, size, NULL), 0);
    CHECK(memcmp(buffer, text, size) == 0);
}

void expect_end(kin_stream *stream)
{
    char c;

    CHECK_CODE(kin_stream_read(stream, &c, 1), 0);
}

SSL *ssl_of(const kin_stream *stream)
{
    return ((struct kin__tls *)stream->arg)->ssl;
}

SSL_CTX *context_of(const kin_tls_context *context)
{
    return context->ssl;
}

int fd_of(const kin_stream *stream)
{
    return ((struct kin__tls *)stream->arg)->fd;
}
