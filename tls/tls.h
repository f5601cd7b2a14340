/* libkin-tls' own view of itself.
 *
 * OpenSSL never sees the descriptor, and never waits. Between the two lie buffers: what was
 * read from the descriptor, for OpenSSL to take (in), and records that it made, to be sent
 * (out). OpenSSL's calls move bytes between those and the caller's, at once; around them the
 * stream's calls wait for the descriptor as any other kin code does.
 *
 *     descriptor -> kin_read -> in -> [BIO] SSL_read -> caller        stream.c, bio.c
 *     descriptor <- kin_write <- sending <- out <- [BIO] SSL_write <- caller
 *
 * A task may so be stopped at any wait without anything half done inside OpenSSL, and a
 * reader and a writer may use the same SSL: on one thread, no call of it is ever interrupted
 * by another.
 *
 * OpenSSL's queue of errors belongs to the thread: it is emptied before each call that may
 * add to it, and read and emptied at once when that has failed, with no wait in between.
 */
#ifndef KIN_TLS_INTERNAL_H
#define KIN_TLS_INTERNAL_H

#include "kin_ext.h"
#include "kin_tls.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <string.h>

enum {
    KIN__TLS_SMALL = 4 * 1024,          /* read from the descriptor at once, when idle … */
    KIN__TLS_LARGE = 32 * 1024,         /* … and while there is much */
    KIN__TLS_BATCH = 64 * 1024,         /* made into records, and sent, at once */
    KIN__TLS_RECORD = 16 * 1024,        /* the longest that TLS allows */
    KIN__TLS_OVERHEAD = 64,             /* of a record, about: headers, tags, padding */
    KIN__TLS_WHY = 200                  /* bytes of a reason for people */
};

struct kin__tls_bytes {
    char *data;
    size_t first, end, size;
};

struct kin__tls {
    SSL *ssl;
    kin_tls_context *context;
    const char *at;                     /* of the handshake's call, for failures */
    int fd;
    bool writing;                       /* somebody waits for the socket to take records */
    bool ended;                         /* close_notify was made: nothing more is written */
    bool eof;                           /* of the descriptor */
    bool no_memory;                     /* there was none for a record */
    int read_failed, write_failed;      /* codes that are final */
    struct kin__tls_bytes in, out, sending;
    SSL_SESSION *session;               /* client: the latest */
    char *host;                         /* client: that was asked for, or NULL */
    char *peer;
    char alpn[256];
};

/* context.c */
struct kin__tls_identity {              /* a certificate with its key */
    X509 *certificate;
    EVP_PKEY *key;
    STACK_OF(X509) *chain;
};
struct kin_tls_context {
    SSL_CTX *ssl;
    int references;                     /* atomic: contexts are shared by threads */
    bool server, insecure;
    unsigned char *alpn;                /* as on the wire */
    unsigned alpn_size;
    struct kin__tls_identity *more;
    size_t more_count;
};
kin_tls_context *kin__tls_context_keep(kin_tls_context *context);

/* pem.c: 0 or a code, with why (KIN__TLS_WHY bytes). */
int kin__tls_identity_load(struct kin__tls_identity *identity,
                           const struct kin_tls_certificate *from, char *why);
void kin__tls_identity_clear(struct kin__tls_identity *identity);
/* Adds the certificates of a file, or of pem, to what the context trusts. */
int kin__tls_trust(SSL_CTX *ssl, const char *file, const char *pem, char *why);

/* error.c: the code of what has just failed, and why, from OpenSSL's queue, which is emptied.
 * Otherwise is the code where nothing special is known. */
int kin__tls_error(int otherwise, char *why);
/* The same of a call about ssl that returned result. */
int kin__tls_ssl_error(const struct kin__tls *tls, int result, int otherwise, char *why);

/* bio.c: gives tls->ssl its way to the buffers. 0 or -ENOMEM. */
int kin__tls_attach(struct kin__tls *tls);
int kin__tls_reserve(struct kin__tls_bytes *bytes, size_t more);
void kin__tls_bytes_free(struct kin__tls_bytes *bytes);

/* stream.c */
extern const struct kin_transport kin__tls_transport;
/* Block: fills in once; sends all of out. 0 or a code. */
int kin__tls_fill(struct kin__tls *tls);
int kin__tls_flush(struct kin__tls *tls);
/* Sends what the socket takes at once. */
void kin__tls_push(struct kin__tls *tls);
void kin__tls_free(struct kin__tls *tls);

/* session.c */
struct kin_tls_session {
    SSL_SESSION *session;
    kin_tls_context *context;
    char host[];                        /* "": none */
};
void kin__tls_collect_sessions(SSL_CTX *ssl);
void kin__tls_keep_session(struct kin__tls *tls);   /* the handshake's, where it brought none */

#endif
