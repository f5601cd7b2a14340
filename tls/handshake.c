/* Handshakes, and what they agreed upon.
 *
 * A handshake is one task's: it makes a message, sends all of it, waits for the peer's, until
 * OpenSSL is content. Whatever ends it early, the descriptor is closed: nobody could say any
 * more what the peer has understood so far. That it is always taken over makes the caller's
 * code the same in all cases.
 */
#include "tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/* ------------------------------------------------------------- the handshake */

/* One step of OpenSSL's: 0 when it is done, KIN_EAGAIN when the peer has to say something. */
static int step(struct kin__tls *tls, char *why)
{
    int rc;

    ERR_clear_error();
    rc = SSL_do_handshake(tls->ssl);
    if (rc == 1)
        return 0;
    if (SSL_get_error(tls->ssl, rc) == SSL_ERROR_WANT_READ)
        return KIN_EAGAIN;
    return kin__tls_ssl_error(tls, rc, KIN_ETLS_HANDSHAKE, why);
}

static int shake(struct kin__tls *tls, char *why)
{
    int done, rc;

    for (;;) {
        done = step(tls, why);
        if (done < 0 && done != KIN_EAGAIN) {
            kin__tls_push(tls);                 /* the alert that says why */
            return done;
        }
        rc = kin__tls_flush(tls);
        if (rc < 0 || done == 0)
            return rc;
        rc = kin__tls_fill(tls);
        if (rc < 0)
            return rc;
    }
}

/* ------------------------------------------------------------- its parties */

static bool is_address(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* The name that is asked for, and that the certificate must be for; or the address, for which
 * one cannot ask. */
static int set_host(struct kin__tls *tls, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);
    size_t length = strlen(host);

    tls->host = OPENSSL_strdup(host);
    if (!tls->host)
        return -ENOMEM;
    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1 ? 0 : -ENOMEM;
    if (length > 1 && host[length - 1] == '.')
        tls->host[length - 1] = 0;              /* certificates have no name with that dot */
    SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set1_host(tls->ssl, tls->host) != 1 ||
        SSL_set_tlsext_host_name(tls->ssl, tls->host) != 1)
        return -ENOMEM;
    return 0;
}

static bool is_for(const kin_tls_session *session, const struct kin__tls *tls)
{
    const char *host = tls->host ? tls->host : "";

    return session->context == tls->context && strcmp(session->host, host) == 0;
}

static int set_client(struct kin__tls *tls, const struct kin_tls_connect_options *options)
{
    int rc = 0;

    SSL_set_connect_state(tls->ssl);
    if (options->host)
        rc = set_host(tls, options->host);
    if (rc < 0 || !options->session || !is_for(options->session, tls))
        return rc;
    return SSL_set_session(tls->ssl, options->session->session) == 1 ? 0 : -ENOMEM;
}

static int set_up(struct kin__tls *tls, const struct kin_tls_connect_options *client)
{
    tls->ssl = SSL_new(tls->context->ssl);
    if (!tls->ssl || kin__tls_attach(tls) < 0 || SSL_set_app_data(tls->ssl, tls) != 1)
        return -ENOMEM;
    if (client)
        return set_client(tls, client);
    SSL_set_accept_state(tls->ssl);
    return 0;
}

/* Takes over what it is given, whatever becomes of it. */
static int begin(struct kin__tls **tls, const char *at, int fd, kin_tls_context *context)
{
    int rc = kin_check();

    *tls = rc == 0 ? OPENSSL_zalloc(sizeof **tls) : NULL;
    if (!*tls) {
        kin_close(fd);
        return rc == 0 ? -ENOMEM : rc;
    }
    (*tls)->at = at;
    (*tls)->fd = fd;
    (*tls)->context = kin__tls_context_keep(context);
    return 0;
}

/* ------------------------------------------------------------------- facts */

static char *subject_of(X509 *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL, *data;
    long size;

    if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0,
                                  XN_FLAG_RFC2253) >= 0) {
        size = BIO_get_mem_data(bio, &data);
        text = OPENSSL_strndup(data, (size_t)size);
    }
    BIO_free(bio);
    return text;
}

/* What has no place of its own in OpenSSL, or none that ends with a 0. */
static int note_facts(struct kin__tls *tls)
{
    X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
    const unsigned char *alpn;
    unsigned size;

    SSL_get0_alpn_selected(tls->ssl, &alpn, &size);
    if (size > 0)
        memcpy(tls->alpn, alpn, size);          /* 255 at most, and a 0 after it */
    if (!certificate)
        return 0;
    tls->peer = subject_of(certificate);
    return tls->peer ? 0 : -ENOMEM;
}

int kin_tls_facts(const kin_stream *stream, struct kin_tls_facts *facts)
{
    const struct kin__tls *tls = stream->arg;

    *facts = (struct kin_tls_facts){ 0 };
    if (stream->transport != &kin__tls_transport)
        return KIN_EINVAL;
    facts->version = SSL_version(tls->ssl) == TLS1_3_VERSION ? 13 : 12;
    facts->cipher = SSL_get_cipher_name(tls->ssl);
    facts->alpn = tls->alpn[0] ? tls->alpn : NULL;
    facts->host = tls->host ? tls->host : SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
    facts->peer = tls->peer;
    if (tls->peer && SSL_get_verify_result(tls->ssl) == X509_V_OK)
        facts->verified = "ok";
    else if (tls->peer)
        facts->verified = X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl));
    facts->reused = SSL_session_reused(tls->ssl) == 1;
    return 0;
}

/* ------------------------------------------------------------------ the calls */

static int fail(const struct kin__tls *tls, int code, const char *why)
{
    if (code == KIN_ECANCELED)
        return code;
    return kin_fail_at(tls->at, code, "TLS%s%s: %s", tls->host ? " with " : "",
                       tls->host ? tls->host : "", why[0] ? why : kin_code_text(code));
}

/* client: its options; NULL for a server. */
static int make(kin_stream *stream, struct kin__tls *tls,
                const struct kin_tls_connect_options *client)
{
    char why[KIN__TLS_WHY] = "";
    int rc = set_up(tls, client);

    if (rc == 0)
        rc = shake(tls, why);
    if (rc == 0)
        rc = note_facts(tls);
    ERR_clear_error();
    if (rc == 0) {
        kin__tls_keep_session(tls);
        kin_stream_open_on(stream, &kin__tls_transport, tls);
        return 0;
    }
    rc = fail(tls, rc, why);
    kin__tls_transport.close(tls);
    return rc;
}

/* An empty name would be one that OpenSSL does not check. */
static bool is_right(const kin_tls_context *context, const char *host)
{
    if (context->server)
        return false;
    return host ? *host && strlen(host) <= TLSEXT_MAXLEN_host_name : context->insecure;
}

int kin_tls_connect_with(kin_stream *stream, int fd, kin_tls_context *context,
                         const struct kin_tls_connect_options *options)
{
    struct kin__tls *tls;
    int rc;

    *stream = (kin_stream){ 0 };
    if (!is_right(context, options->host)) {
        kin_close(fd);
        return KIN_EINVAL;
    }
    rc = begin(&tls, options->at, fd, context);
    return rc == 0 ? make(stream, tls, options) : rc;
}

int kin_tls_accept_at(const char *at, kin_stream *stream, int fd, kin_tls_context *context)
{
    struct kin__tls *tls;
    int rc;

    *stream = (kin_stream){ 0 };
    if (!context->server) {
        kin_close(fd);
        return KIN_EINVAL;
    }
    rc = begin(&tls, at, fd, context);
    return rc == 0 ? make(stream, tls, NULL) : rc;
}
