/* What can go wrong with TLS, as codes and sentences.
 *
 * OpenSSL has some hundreds of reasons, and few of them matter to a program that has to decide
 * what to do next: the peer cannot be trusted, it does not want us, it went away, it makes
 * no sense. Those are the codes. OpenSSL's own words, which people need, go into the error
 * slot of the task.
 */
#include "tls.h"

#include <openssl/err.h>
#include <stdio.h>

#define TLS_CODES(X)                                                          \
    X(KIN_ETLS_HANDSHAKE, "the TLS handshake failed")                         \
    X(KIN_ETLS_CERTIFICATE, "the peer's certificate is not accepted")         \
    X(KIN_ETLS_REFUSED, "the peer ended TLS with an alert")                   \
    X(KIN_ETLS_TRUNCATED, "the connection was cut off before the end of TLS") \
    X(KIN_ETLS_PROTOCOL, "the peer broke the rules of TLS")                   \
    X(KIN_ETLS_SETUP, "a certificate, key or CA cannot be used")

static const char *tls_name(int number)
{
    switch (KIN_CODE(KIN_CLASS_TLS, number)) {
#define CASE(name, text) case name: return #name;
        TLS_CODES(CASE)
#undef CASE
    default:
        return NULL;
    }
}

static const char *tls_text(int number)
{
    switch (KIN_CODE(KIN_CLASS_TLS, number)) {
#define CASE(name, text) case name: return text;
        TLS_CODES(CASE)
#undef CASE
    default:
        return NULL;
    }
}

static const struct kin_class_texts tls_class = { KIN_CLASS_TLS, "tls", tls_name, tls_text };

/* Without memory for it the codes stay, only their texts are "unknown". */
__attribute__((constructor)) static void register_class(void)
{
    (void)kin_class_register(&tls_class);
}

/* Alerts that the peer sent have numbers of their own, above all other reasons. */
static bool is_alert(unsigned long error)
{
    return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) > SSL_AD_REASON_OFFSET;
}

static int code_of(unsigned long error, int otherwise)
{
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
        return -ENOMEM;
    if (ERR_GET_LIB(error) != ERR_LIB_SSL)
        return otherwise;
    if (is_alert(error))
        return KIN_ETLS_REFUSED;
    switch (ERR_GET_REASON(error)) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return KIN_ETLS_CERTIFICATE;
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return KIN_ETLS_TRUNCATED;
    default:
        return otherwise;
    }
}

/* The first error in the queue is where it began; those after it are what came of that. A want
 * of memory shows anywhere. */
int kin__tls_error(int otherwise, char *why)
{
    unsigned long first = ERR_peek_error(), error;
    const char *reason = first ? ERR_reason_error_string(first) : NULL;
    int code = code_of(first, otherwise);

    snprintf(why, KIN__TLS_WHY, "%s", reason ? reason : kin_code_text(code));
    while ((error = ERR_get_error()) != 0)
        if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
            code = -ENOMEM;
    if (code == -ENOMEM)
        snprintf(why, KIN__TLS_WHY, "%s", kin_code_text(code));
    return code;
}

static void add_verdict(const SSL *ssl, char *why)
{
    long verdict = SSL_get_verify_result(ssl);
    size_t length = strlen(why);

    if (verdict != X509_V_OK)
        snprintf(why + length, KIN__TLS_WHY - length, ": %s",
                 X509_verify_cert_error_string(verdict));
}

int kin__tls_ssl_error(const struct kin__tls *tls, int result, int otherwise, char *why)
{
    int kind = SSL_get_error(tls->ssl, result), code = kin__tls_error(otherwise, why);

    if (tls->no_memory)
        code = -ENOMEM;
    else if (kind != SSL_ERROR_SSL)         /* close_notify, where something had to come */
        code = tls->eof || kind == SSL_ERROR_ZERO_RETURN ? KIN_ETLS_TRUNCATED : otherwise;
    if (code == KIN_ETLS_CERTIFICATE)
        add_verdict(tls->ssl, why);
    else if (kind != SSL_ERROR_SSL || code == -ENOMEM || code == KIN_ETLS_TRUNCATED)
        snprintf(why, KIN__TLS_WHY, "%s", kin_code_text(code));
    return code;
}
