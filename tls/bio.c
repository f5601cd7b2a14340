/* The buffers between OpenSSL and the descriptor, and OpenSSL's way to them (a BIO).
 *
 * Why not its own memory BIOs: what kin_read has brought into a buffer would be copied into
 * theirs first, and they keep the memory that they once needed. This one takes from the buffer
 * that was read into, and appends to the one that is sent from. A read that finds nothing says
 * "try again" (after the end of the descriptor: "ended"), a write always succeeds unless memory
 * is short.
 */
#include "tls.h"

#include <openssl/bio.h>

int kin__tls_reserve(struct kin__tls_bytes *bytes, size_t more)
{
    size_t size = bytes->size;
    char *data;

    if (more <= size - bytes->end)
        return 0;
    size = bytes->end + more > 2 * size ? bytes->end + more : 2 * size;
    data = OPENSSL_realloc(bytes->data, size);
    if (!data)
        return -ENOMEM;
    bytes->data = data;
    bytes->size = size;
    return 0;
}

void kin__tls_bytes_free(struct kin__tls_bytes *bytes)
{
    OPENSSL_free(bytes->data);
    *bytes = (struct kin__tls_bytes){ 0 };
}

static int bio_read(BIO *bio, char *into, size_t size, size_t *done)
{
    struct kin__tls *tls = BIO_get_data(bio);
    size_t there = tls->in.end - tls->in.first;

    BIO_clear_retry_flags(bio);
    if (there == 0) {
        if (!tls->eof)
            BIO_set_retry_read(bio);
        return 0;
    }
    *done = size < there ? size : there;
    memcpy(into, tls->in.data + tls->in.first, *done);
    tls->in.first += *done;
    return 1;
}

static int bio_write(BIO *bio, const char *from, size_t size, size_t *done)
{
    struct kin__tls *tls = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (kin__tls_reserve(&tls->out, size) < 0) {
        tls->no_memory = true;
        return 0;
    }
    memcpy(tls->out.data + tls->out.end, from, size);
    tls->out.end += size;
    *done = size;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    const struct kin__tls *tls = BIO_get_data(bio);

    (void)number, (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return tls->eof && tls->in.first == tls->in.end;
    default:
        return 0;
    }
}

static BIO_METHOD *new_method(void)
{
    BIO_METHOD *made = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "kin");

    if (made && BIO_meth_set_read_ex(made, bio_read) && BIO_meth_set_write_ex(made, bio_write) &&
        BIO_meth_set_ctrl(made, bio_control))
        return made;
    BIO_meth_free(made);
    return NULL;
}

/* One a process, for ever. Tried again where there was no memory, and made by several threads
 * at once the first to be ready is kept. */
static const BIO_METHOD *our_method(void)
{
    static BIO_METHOD *method;
    BIO_METHOD *made, *none = NULL;

    if (__atomic_load_n(&method, __ATOMIC_ACQUIRE))
        return __atomic_load_n(&method, __ATOMIC_ACQUIRE);
    made = new_method();
    if (__atomic_compare_exchange_n(&method, &none, made, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        return made;
    BIO_meth_free(made);
    return none;
}

int kin__tls_attach(struct kin__tls *tls)
{
    const BIO_METHOD *method = our_method();
    BIO *bio = method ? BIO_new(method) : NULL;

    if (!bio)
        return -ENOMEM;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    return 0;
}
