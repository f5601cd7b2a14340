/* Sessions: what a server gave to a client to come back with.
 *
 * OpenSSL's session says nothing about whom it is of: it would be offered to any server, and
 * where it is taken no certificate is looked at again. So a session here knows the context
 * and the host that it was verified for, and is not used for others.
 */
#include "tls.h"

/* With TLS 1.3 several arrive after the handshake, each for one use, which OpenSSL sees to: the
 * latest is kept. */
static int collect(SSL *ssl, SSL_SESSION *session)
{
    struct kin__tls *tls = SSL_get_app_data(ssl);

    SSL_SESSION_free(tls->session);
    tls->session = session;
    return 1;                           /* the reference is ours */
}

void kin__tls_collect_sessions(SSL_CTX *ssl)
{
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ssl, collect);
}

/* With TLS 1.2 a server need not give another, and the one that was used is as good as new. */
void kin__tls_keep_session(struct kin__tls *tls)
{
    if (!tls->context->server && !tls->session && SSL_version(tls->ssl) == TLS1_2_VERSION)
        tls->session = SSL_get1_session(tls->ssl);
}

kin_tls_session *kin_tls_session_get(const kin_stream *stream)
{
    const struct kin__tls *tls = stream->arg;
    const char *host;
    kin_tls_session *session;

    if (stream->transport != &kin__tls_transport || !tls->session ||
        !SSL_SESSION_is_resumable(tls->session))
        return NULL;
    host = tls->host ? tls->host : "";
    session = OPENSSL_zalloc(sizeof *session + strlen(host) + 1);
    if (!session)
        return NULL;
    SSL_SESSION_up_ref(tls->session);
    session->session = tls->session;
    session->context = kin__tls_context_keep(tls->context);
    memcpy(session->host, host, strlen(host) + 1);
    return session;
}

void kin_tls_session_free(kin_tls_session *session)
{
    if (!session)
        return;
    SSL_SESSION_free(session->session);
    kin_tls_context_free(session->context);
    OPENSSL_free(session);
}
