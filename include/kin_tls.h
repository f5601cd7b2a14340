/* libkin-tls: TLS 1.2 and 1.3 for kin's streams, on OpenSSL 3.
 *
 *   1  Codes      2  Contexts      3  Connections, sessions
 *
 * A context says what is offered and who is trusted; a handshake makes a stream (kin_io.h)
 * of a connected descriptor. No call takes a limit in time: they obey the scopes around them.
 */
#ifndef KIN_TLS_H
#define KIN_TLS_H

#include "kin_io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------- 1  Codes */

/* Why it failed; kin_fail has the details, in OpenSSL's words. */
#define KIN_ETLS_HANDSHAKE KIN_CODE(KIN_CLASS_TLS, 1)   /* no agreement, or it speaks no TLS */
#define KIN_ETLS_CERTIFICATE KIN_CODE(KIN_CLASS_TLS, 2) /* the peer's is not accepted, or missing */
#define KIN_ETLS_REFUSED KIN_CODE(KIN_CLASS_TLS, 3)     /* the peer ended it, with an alert */
#define KIN_ETLS_TRUNCATED KIN_CODE(KIN_CLASS_TLS, 4)   /* cut off: more may have been to come */
#define KIN_ETLS_PROTOCOL KIN_CODE(KIN_CLASS_TLS, 5)    /* broken or forged, after the handshake */
#define KIN_ETLS_SETUP KIN_CODE(KIN_CLASS_TLS, 6)       /* a certificate, key or CA is no good */

/* ------------------------------------------------------------ 2  Contexts */

/* A chain, one's own certificate first, and its key; in PEM, from files or from memory. A key
 * that is not given is looked for beside the certificate. Keys with a password are refused. */
struct kin_tls_certificate {
    const char *file, *key_file;
    const char *pem, *key_pem;
};

/* Whether a server wants to see certificates of its clients. */
typedef enum kin_tls_clients {
    KIN_TLS_CLIENTS_ANY,                /* it does not ask */
    KIN_TLS_CLIENTS_ASKED,              /* one that has none is welcome, too */
    KIN_TLS_CLIENTS_KNOWN               /* it must have one */
} kin_tls_clients;

struct kin_tls_options {
    const char *at;                     /* set by the macro */
    const char *ca_file, *ca_dir, *ca_pem;      /* who is trusted; a client: NULL: the system's */
    struct kin_tls_certificate certificate;     /* one's own: needed by servers */
    const struct kin_tls_certificate *more;     /* server: the first that is for the name which */
    size_t more_count;                          /* the client asked for is shown instead */
    const char *const *alpn;            /* protocols, the best first, NULL at the end */
    int least;                          /* version: 12, also if 0, or 13 */
    kin_tls_clients clients;            /* server */
    bool insecure;                      /* client: accept any certificate of any name */
};

/* For any number of connections, of any run and thread. Reads the files, which for the system's
 * CAs takes some 30 ms; not blocking, also outside of a run. 0, KIN_ETLS_SETUP, -errno of a
 * file, -ENOMEM, KIN_EINVAL. */
typedef struct kin_tls_context kin_tls_context;
#define kin_tls_client_open(...) KIN_TLS_OPEN_(kin_tls_client_open_with, __VA_ARGS__, )
#define kin_tls_server_open(...) KIN_TLS_OPEN_(kin_tls_server_open_with, __VA_ARGS__, )
#define KIN_TLS_OPEN_(open, context, ...) \
    open(context, &(struct kin_tls_options){ .at = KIN_HERE, __VA_ARGS__ })
KIN_API int kin_tls_client_open_with(kin_tls_context **context,
                                     const struct kin_tls_options *options);
KIN_API int kin_tls_server_open_with(kin_tls_context **context,
                                     const struct kin_tls_options *options);
/* Connections and sessions made with it go on. No-op for NULL. */
KIN_API void kin_tls_context_free(kin_tls_context *context);

/* ----------------------------------------------- 3  Connections, sessions */

/* What a server remembers of a connection, so that the next need not show certificates again. */
typedef struct kin_tls_session kin_tls_session;

struct kin_tls_connect_options {
    const char *at;                     /* set by the macro */
    const char *host;                   /* name or address that the certificate must be for */
    const kin_tls_session *session;     /* or NULL; without effect if for another host or context */
};

/* Makes a stream of a connected socket by a handshake. Takes over fd, which is closed with the
 * stream, and has been if this fails. The stream's end says that all was sent, which its close
 * alone does not. Block; a cancelled one has failed. 0, a code of the class, KIN_ECANCELED,
 * -errno, -ENOMEM, KIN_EINVAL (no host, and not .insecure; a context of the other kind). */
#define kin_tls_connect(...) KIN_TLS_CONNECT_(__VA_ARGS__, )
#define KIN_TLS_CONNECT_(stream, fd, context, ...) \
    kin_tls_connect_with(stream, fd, context, \
                         &(struct kin_tls_connect_options){ .at = KIN_HERE, __VA_ARGS__ })
KIN_API int kin_tls_connect_with(kin_stream *stream, int fd, kin_tls_context *context,
                                 const struct kin_tls_connect_options *options);
#define kin_tls_accept(stream, fd, context) kin_tls_accept_at(KIN_HERE, stream, fd, context)
KIN_API int kin_tls_accept_at(const char *at, kin_stream *stream, int fd,
                              kin_tls_context *context);

/* What the handshake agreed upon. Strings are the stream's, until it is closed. */
struct kin_tls_facts {
    int version;                        /* 12, 13 */
    const char *cipher;                 /* "TLS_AES_256_GCM_SHA384" */
    const char *alpn;                   /* NULL: none */
    const char *host;                   /* that the client asked for, or NULL */
    const char *peer;                   /* subject of its certificate, or NULL: it showed none */
    const char *verified;               /* "ok", why not (insecure), or NULL without certificate */
    bool reused;                        /* a session was */
};
KIN_API int kin_tls_facts(const kin_stream *stream, struct kin_tls_facts *facts);

/* The latest that the server gave to this client, for .session; NULL: none (or no memory).
 * With TLS 1.3 each is for one use, and arrives after the handshake, among what is read. The
 * caller frees it. */
KIN_API kin_tls_session *kin_tls_session_get(const kin_stream *stream);
KIN_API void kin_tls_session_free(kin_tls_session *session);

#ifdef __cplusplus
}
#endif
#endif
