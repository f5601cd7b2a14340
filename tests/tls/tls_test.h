/* Shared by the tests of libkin-tls: certificates made for each test, and connections over
 * loopback with a handshake on each side.
 *
 * TLS_TEST(name) { … } is an IO_TEST that may be linked with libkin-tls' insides. */
#ifndef TLS_TEST_H
#define TLS_TEST_H

#include "io_test.h"
#include "kin_tls.h"

#include <openssl/ssl.h>

#define TLS_TEST(name) TLS_TEST_LIMIT(name, 60)
#define TLS_TEST_LIMIT(name, seconds)                                                     \
    static void name##_tls(void);                                                         \
    IO_TEST_LIMIT(name, seconds)                                                          \
    {                                                                                     \
        pki_begin();                                                                      \
        name##_tls();                                                                     \
        pki_end();                                                                        \
    }                                                                                     \
    static void name##_tls(void)

void pki_begin(void);
void pki_end(void);

/* Certificates, as PEM in memory: with the key behind, where there is one. Made when first
 * asked for, and freed by pki_end. */
enum identity {
    CA,                 /* alone, without its key */
    OTHER_CA,
    SERVER,             /* localhost, *.example.org, 127.0.0.1 */
    SECOND,             /* second.example.net */
    EXPIRED,            /* localhost */
    FORGED,             /* localhost, signed by OTHER_CA */
    CHAINED,            /* localhost, signed by an intermediate CA, which is in it */
    RSA_SERVER,         /* localhost, with a long RSA key */
    CLIENT,             /* CN=alice */
    IDENTITIES
};
const char *pem(enum identity who);
const char *key_of(enum identity who);              /* the key alone */
/* The same as a file, in a directory that is removed at the end. */
const char *pem_file(enum identity who);
const char *scratch(const char *name);              /* a path there, one of four in turn */
unsigned long hash_of(enum identity who);           /* of its subject, for directories of CAs */

/* A client context that trusts CA, and a server's with SERVER. */
kin_tls_context *client_context(void);
kin_tls_context *server_context(void);

/* Both sides of a connection. */
struct pair {
    kin_tls_context *client_context, *server_context;
    const char *host;                   /* NULL: "localhost" */
    const kin_tls_session *session;
    kin_stream client, server;
    int client_code, server_code;
    char client_why[256], server_why[256];
};
/* Handshakes over descriptors that are connected; the codes say how it went. */
void shake_hands(struct pair *pair, int client_fd, int server_fd);
/* … over TCP; makes contexts as above where none are given. */
void connect_pair(struct pair *pair);
/* Closes, and frees the contexts. */
void close_pair(struct pair *pair);
/* All of it: connect_pair, and both must have gone well. */
void make_pair(struct pair *pair);
/* The same over Unix sockets: once they are full they stay so, whereas TCP finds more room. */
void make_unix_pair(struct pair *pair);

/* Sends text one way, and finds it there. */
void say(kin_stream *from, kin_stream *to, const char *text);
/* The stream's end has come, properly. */
void expect_end(kin_stream *stream);

/* OpenSSL's own, of a stream, and of a context. */
SSL *ssl_of(const kin_stream *stream);
SSL_CTX *context_of(const kin_tls_context *context);
int fd_of(const kin_stream *stream);

#endif
