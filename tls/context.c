/* Contexts: what is offered to peers, and whom to trust.
 *
 * A context is OpenSSL's, with what its callbacks need beside it. It does not change once it
 * is open, so that any thread may use it, and lives as long as a connection or session does
 * that was made with it.
 *
 * A server with several certificates chooses by the names that stand in them: a list of names
 * beside them could only be wrong.
 *
 * Sessions are tickets, which the client keeps: a server remembers nothing of anybody.
 */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/* --------------------------------------------------------------- its life */

kin_tls_context *kin__tls_context_keep(kin_tls_context *context)
{
    __atomic_add_fetch(&context->references, 1, __ATOMIC_RELAXED);
    return context;
}

void kin_tls_context_free(kin_tls_context *context)
{
    if (!context || __atomic_sub_fetch(&context->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    SSL_CTX_free(context->ssl);
    for (size_t i = 0; i < context->more_count; i++)
        kin__tls_identity_clear(&context->more[i]);
    OPENSSL_free(context->more);
    OPENSSL_free(context->alpn);
    OPENSSL_free(context);
}

/* ------------------------------------------------------------ its callbacks */

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *size,
                           const unsigned char *offered, unsigned offered_size, void *arg)
{
    const kin_tls_context *context = arg;
    unsigned char *found;

    (void)ssl;
    if (SSL_select_next_proto(&found, size, context->alpn, context->alpn_size, offered,
                              offered_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = found;
    return SSL_TLSEXT_ERR_OK;
}

static bool show(SSL *ssl, const struct kin__tls_identity *identity)
{
    return SSL_use_cert_and_key(ssl, identity->certificate, identity->key, identity->chain,
                                1) == 1;
}

/* Who asks for a name that none is for sees the first one, and can judge by itself. */
static int choose_certificate(SSL *ssl, int *alert, void *arg)
{
    const kin_tls_context *context = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    for (size_t i = 0; name && i < context->more_count; i++)
        if (X509_check_host(context->more[i].certificate, name, 0,
                            X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1) {
            if (show(ssl, &context->more[i]))
                return SSL_TLSEXT_ERR_OK;
            *alert = SSL_AD_INTERNAL_ERROR;
            return SSL_TLSEXT_ERR_ALERT_FATAL;
        }
    return SSL_TLSEXT_ERR_OK;
}

/* ---------------------------------------------------------------- opening */

static bool is_given(const struct kin_tls_certificate *certificate)
{
    return certificate->file || certificate->pem;
}

static bool knows_somebody(const struct kin_tls_options *options)
{
    return options->ca_file || options->ca_dir || options->ca_pem;
}

static bool server_is_right(const struct kin_tls_options *options)
{
    if (!is_given(&options->certificate) || options->insecure)
        return false;
    for (size_t i = 0; i < options->more_count; i++)
        if (!is_given(&options->more[i]))
            return false;
    return knows_somebody(options) == (options->clients != KIN_TLS_CLIENTS_ANY);
}

static bool client_is_right(const struct kin_tls_options *options)
{
    return !options->more_count && options->clients == KIN_TLS_CLIENTS_ANY &&
           !(options->insecure && knows_somebody(options));
}

static size_t wire_size(const char *const *names)
{
    size_t size = 0;

    for (; *names; names++) {
        if (!**names || strlen(*names) > 255)
            return 0;
        size += 1 + strlen(*names);
    }
    return size <= UINT16_MAX ? size : 0;
}

/* Names as the protocol has them: each with its length before it. */
static int set_protocols(kin_tls_context *context, const char *const *names)
{
    size_t size = wire_size(names);
    unsigned char *to = size ? OPENSSL_malloc(size) : NULL;

    if (!to)
        return size ? -ENOMEM : KIN_EINVAL;
    context->alpn = to;
    context->alpn_size = (unsigned)size;
    for (; *names; names++) {
        *to++ = (unsigned char)strlen(*names);
        memcpy(to, *names, strlen(*names));
        to += strlen(*names);
    }
    if (context->server)
        SSL_CTX_set_alpn_select_cb(context->ssl, choose_protocol, context);
    else if (SSL_CTX_set_alpn_protos(context->ssl, context->alpn, context->alpn_size) != 0)
        return -ENOMEM;
    return 0;
}

static int set_own(kin_tls_context *context, const struct kin_tls_certificate *from, char *why)
{
    struct kin__tls_identity own = { 0 };
    int rc = kin__tls_identity_load(&own, from, why);

    if (rc < 0)
        return rc;
    ERR_clear_error();
    if (SSL_CTX_use_cert_and_key(context->ssl, own.certificate, own.key, own.chain, 1) != 1)
        rc = kin__tls_error(KIN_ETLS_SETUP, why);
    kin__tls_identity_clear(&own);
    return rc;
}

static int set_more(kin_tls_context *context, const struct kin_tls_options *options, char *why)
{
    int rc = 0;

    if (!options->more_count)
        return 0;
    context->more = OPENSSL_zalloc(options->more_count * sizeof *context->more);
    if (!context->more)
        return -ENOMEM;
    while (rc == 0 && context->more_count < options->more_count) {
        rc = kin__tls_identity_load(&context->more[context->more_count],
                                    &options->more[context->more_count], why);
        context->more_count += rc == 0;
    }
    return rc;
}

static int set_trust(kin_tls_context *context, const struct kin_tls_options *options, char *why)
{
    int rc = 0;

    ERR_clear_error();
    if (!knows_somebody(options)) {
        if (context->server || SSL_CTX_set_default_verify_paths(context->ssl) == 1)
            return 0;
        return kin__tls_error(KIN_ETLS_SETUP, why);
    }
    if (options->ca_dir && SSL_CTX_load_verify_dir(context->ssl, options->ca_dir) != 1)
        return kin__tls_error(KIN_ETLS_SETUP, why);
    if (options->ca_file)
        rc = kin__tls_trust(context->ssl, options->ca_file, NULL, why);
    if (rc == 0 && options->ca_pem)
        rc = kin__tls_trust(context->ssl, NULL, options->ca_pem, why);
    return rc;
}

static int verification(const kin_tls_context *context, const struct kin_tls_options *options)
{
    if (!context->server)
        return options->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    switch (options->clients) {
    case KIN_TLS_CLIENTS_ASKED:
        return SSL_VERIFY_PEER;
    case KIN_TLS_CLIENTS_KNOWN:
        return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    default:
        return SSL_VERIFY_NONE;
    }
}

/* The end of the file without the end of TLS is never ignored, whatever the system's
 * configuration says; and nobody renegotiates, which TLS 1.3 has no more. */
static void set_rules(kin_tls_context *context, const struct kin_tls_options *options)
{
    SSL_CTX *ssl = context->ssl;

    SSL_CTX_clear_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                             SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_min_proto_version(ssl, options->least == 13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_verify(ssl, verification(context, options), NULL);
    if (context->server) {
        SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_session_id_context(ssl, (const unsigned char *)"kin", 3);
        SSL_CTX_set_tlsext_servername_callback(ssl, choose_certificate);
        SSL_CTX_set_tlsext_servername_arg(ssl, context);
    } else {
        kin__tls_collect_sessions(ssl);
    }
}

static int fill(kin_tls_context *context, const struct kin_tls_options *options, char *why)
{
    int rc = 0;

    ERR_clear_error();
    context->ssl = SSL_CTX_new(context->server ? TLS_server_method() : TLS_client_method());
    if (!context->ssl)
        return kin__tls_error(-ENOMEM, why);
    set_rules(context, options);
    if (options->alpn)
        rc = set_protocols(context, options->alpn);
    if (rc == 0 && is_given(&options->certificate))
        rc = set_own(context, &options->certificate, why);
    if (rc == 0)
        rc = set_more(context, options, why);
    return rc == 0 ? set_trust(context, options, why) : rc;
}

static int open_context(kin_tls_context **context, const struct kin_tls_options *options,
                        bool server)
{
    char why[KIN__TLS_WHY] = "";
    int rc;

    *context = OPENSSL_zalloc(sizeof **context);
    if (!*context)
        return -ENOMEM;
    **context = (kin_tls_context){ .references = 1, .server = server,
                                   .insecure = options->insecure };
    rc = fill(*context, options, why);
    ERR_clear_error();
    if (rc == 0)
        return 0;
    kin_tls_context_free(*context);
    *context = NULL;
    return kin_fail_at(options->at, rc, "%s", why[0] ? why : kin_code_text(rc));
}

static bool is_right(const struct kin_tls_options *options, bool server)
{
    if (options->least != 0 && options->least != 12 && options->least != 13)
        return false;
    return server ? server_is_right(options) : client_is_right(options);
}

int kin_tls_client_open_with(kin_tls_context **context, const struct kin_tls_options *options)
{
    *context = NULL;
    return is_right(options, false) ? open_context(context, options, false) : KIN_EINVAL;
}

int kin_tls_server_open_with(kin_tls_context **context, const struct kin_tls_options *options)
{
    *context = NULL;
    return is_right(options, true) ? open_context(context, options, true) : KIN_EINVAL;
}
