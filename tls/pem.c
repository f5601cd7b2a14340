/* Certificates and keys, out of PEM.
 *
 * Files are read into memory first and parsed from there: so a file that cannot be read has
 * the system's own code, and what is given in memory takes the same way. A key with a password
 * is refused: OpenSSL would ask for it on the terminal, in the middle of a run.
 */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>

enum { MOST = 16 * 1024 * 1024 };       /* of a file; the system's CAs are 200 KiB */

/* arg: a bool that is set; NULL where nothing can have a password. */
static int no_password(char *buffer, int size, int writing, void *arg)
{
    (void)buffer, (void)size, (void)writing;
    if (arg)
        *(bool *)arg = true;
    return -1;
}

static int read_all(FILE *file, BIO *into)
{
    char piece[4096];
    size_t n, total = 0;

    while ((n = fread(piece, 1, sizeof piece, file)) > 0) {
        total += n;
        if (total > MOST)
            return -EFBIG;
        if (BIO_write(into, piece, (int)n) != (int)n)
            return -ENOMEM;
    }
    return ferror(file) ? -errno : 0;
}

static int read_file(const char *path, BIO *into)
{
    FILE *file = fopen(path, "re");
    int rc;

    if (!file)
        return -errno;
    rc = read_all(file, into);
    fclose(file);
    return rc;
}

/* What a file or a text holds, to be read once, by whoever frees it. */
static int open_pem(const char *path, const char *text, BIO **bio, char *why)
{
    int rc = 0;

    *bio = path ? BIO_new(BIO_s_mem()) : BIO_new_mem_buf(text, -1);
    if (!*bio)
        return kin__tls_error(-ENOMEM, why);
    if (path)
        rc = read_file(path, *bio);
    if (rc == 0)
        return 0;
    ERR_clear_error();
    snprintf(why, KIN__TLS_WHY, "%s: %s", path, kin_code_text(rc));
    BIO_free(*bio);
    return rc;
}

/* Puts the name of what was wrong before why. */
static int blame(int code, const char *path, char *why)
{
    char reason[KIN__TLS_WHY];

    snprintf(reason, sizeof reason, "%s", why);
    snprintf(why, KIN__TLS_WHY, "%s: %.120s", path ? path : "PEM", reason);
    return code;
}

/* "No further one" is how a list of certificates ends. */
static bool is_end(void)
{
    unsigned long error = ERR_peek_last_error();

    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

/* Calls take for each certificate, which then owns it, unless it fails. How many there were;
 * -1, with OpenSSL's queue saying why. */
static int each_certificate(BIO *bio, bool (*take)(void *arg, X509 *certificate), void *arg)
{
    X509 *certificate;
    int count = 0;

    ERR_clear_error();
    while ((certificate = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL)) != NULL) {
        if (!take(arg, certificate)) {
            X509_free(certificate);
            return -1;
        }
        count++;
    }
    if (!is_end())
        return -1;
    if (count > 0)
        ERR_clear_error();
    return count;
}

/* ------------------------------------------------------------- one's own */

void kin__tls_identity_clear(struct kin__tls_identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
    sk_X509_pop_free(identity->chain, X509_free);
    *identity = (struct kin__tls_identity){ 0 };
}

static bool take_own(void *arg, X509 *certificate)
{
    struct kin__tls_identity *identity = arg;

    if (identity->certificate)
        return sk_X509_push(identity->chain, certificate) > 0;
    identity->certificate = certificate;
    identity->chain = sk_X509_new_null();
    return identity->chain != NULL;
}

static int load_chain(struct kin__tls_identity *identity, const struct kin_tls_certificate *from,
                      char *why)
{
    BIO *bio;
    int count, rc = open_pem(from->file, from->pem, &bio, why);

    if (rc < 0)
        return rc;
    count = each_certificate(bio, take_own, identity);
    BIO_free(bio);
    if (count > 0)
        return 0;
    return blame(kin__tls_error(KIN_ETLS_SETUP, why), from->file, why);
}

static int load_key(struct kin__tls_identity *identity, const char *path, const char *text,
                    char *why)
{
    bool locked = false;
    BIO *bio;
    int rc = open_pem(path, text, &bio, why);

    if (rc < 0)
        return rc;
    ERR_clear_error();
    identity->key = PEM_read_bio_PrivateKey(bio, NULL, no_password, &locked);
    BIO_free(bio);
    if (identity->key && X509_check_private_key(identity->certificate, identity->key) == 1)
        return 0;
    rc = kin__tls_error(KIN_ETLS_SETUP, why);
    if (locked)
        snprintf(why, KIN__TLS_WHY, "the key has a password");
    return blame(rc, path, why);
}

int kin__tls_identity_load(struct kin__tls_identity *identity,
                           const struct kin_tls_certificate *from, char *why)
{
    bool beside = !from->key_file && !from->key_pem;
    int rc = load_chain(identity, from, why);

    if (rc == 0)
        rc = load_key(identity, beside ? from->file : from->key_file,
                      beside ? from->pem : from->key_pem, why);
    if (rc < 0)
        kin__tls_identity_clear(identity);
    return rc;
}

/* ----------------------------------------------------------- who is trusted */

/* A server names them to its clients, which choose a certificate by that. */
static bool take_trusted(void *arg, X509 *certificate)
{
    SSL_CTX *ssl = arg;

    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), certificate) != 1 ||
        SSL_CTX_add_client_CA(ssl, certificate) != 1)
        return false;
    X509_free(certificate);
    return true;
}

int kin__tls_trust(SSL_CTX *ssl, const char *file, const char *pem, char *why)
{
    BIO *bio;
    int count, rc = open_pem(file, pem, &bio, why);

    if (rc < 0)
        return rc;
    count = each_certificate(bio, take_trusted, ssl);
    BIO_free(bio);
    if (count > 0)
        return 0;
    return blame(kin__tls_error(KIN_ETLS_SETUP, why), file, why);
}
