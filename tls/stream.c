/* A connection as a stream's transport: read, write, end, close.
 *
 * Invariants. What OpenSSL made leaves in the order in which it was made: first the rest of
 * sending, then out. Only the writer waits for the socket to take it. The reader, where it has
 * something to say (an alert: TLS leaves the answer to a change of keys to the writer), lets
 * the socket take what it will, and leaves the rest to the next write: a reader that waited to
 * write would stand still, and so would a peer that only writes.
 *
 * Being cancelled loses nothing. A read has moved bytes from the descriptor into in, or none;
 * and a write leaves what is made but not sent where it is, to go out before anything else
 * does. So the connection goes on after it; *done counts what was made into records.
 */
#include "tls.h"

#include <openssl/err.h>
#include <sys/socket.h>

void kin__tls_free(struct kin__tls *tls)
{
    /* Else OpenSSL takes a session for broken, since this is not how its peer would end. */
    if (tls->ssl && SSL_is_init_finished(tls->ssl))
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->ssl);
    SSL_SESSION_free(tls->session);
    kin_tls_context_free(tls->context);
    kin__tls_bytes_free(&tls->in);
    kin__tls_bytes_free(&tls->out);
    kin__tls_bytes_free(&tls->sending);
    OPENSSL_free(tls->host);
    OPENSSL_free(tls->peer);
    OPENSSL_free(tls);
}

/* --------------------------------------------------------------- descriptor */

/* An idle connection holds a small buffer only, in which it waits. */
static int make_room(struct kin__tls *tls)
{
    size_t wanted = tls->in.end < KIN__TLS_SMALL ? KIN__TLS_SMALL : KIN__TLS_LARGE;

    if (tls->in.size != wanted)
        kin__tls_bytes_free(&tls->in);
    tls->in.first = tls->in.end = 0;
    return kin__tls_reserve(&tls->in, wanted);
}

int kin__tls_fill(struct kin__tls *tls)
{
    ssize_t n;

    if (make_room(tls) < 0)
        return -ENOMEM;
    n = kin_read(tls->fd, tls->in.data, tls->in.size);
    if (n < 0)
        return (int)n;
    tls->in.end = (size_t)n;
    tls->eof = n == 0;
    return 0;
}

/* The next bytes to be sent, or none. OpenSSL may add to out while they are under way. */
static bool next_bytes(struct kin__tls *tls)
{
    if (tls->sending.first < tls->sending.end)
        return true;
    kin__tls_bytes_free(&tls->sending);
    tls->sending = tls->out;
    tls->out = (struct kin__tls_bytes){ 0 };
    return tls->sending.end > 0;
}

int kin__tls_flush(struct kin__tls *tls)
{
    ssize_t n;

    while (next_bytes(tls)) {
        n = kin_write(tls->fd, tls->sending.data + tls->sending.first,
                      tls->sending.end - tls->sending.first);
        if (n < 0)
            return (int)n;
        tls->sending.first += (size_t)n;
    }
    return 0;
}

void kin__tls_push(struct kin__tls *tls)
{
    ssize_t n;

    while (!tls->writing && next_bytes(tls)) {
        n = send(tls->fd, tls->sending.data + tls->sending.first,
                 tls->sending.end - tls->sending.first, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return;
        tls->sending.first += (size_t)n;
    }
}

/* --------------------------------------------------------------- every call */

static const struct kin_wait_ops tls_ops = { "tls", NULL, NULL };

/* Every call looks at cancellation first, also where it would not have to wait. */
static int look(void)
{
    struct kin_wait wait;

    return kin_wait_prepare(&wait, &tls_ops, NULL);
}

/* What OpenSSL has failed with is final: the reader's code from then on, or the writer's. */
static int failure(const struct kin__tls *tls, int *which, int result)
{
    char why[KIN__TLS_WHY];

    *which = kin__tls_ssl_error(tls, result, KIN_ETLS_PROTOCOL, why);
    return kin_fail_at(tls->at, *which, "TLS: %s", why);
}

/* ------------------------------------------------------------------ reading */

/* From what is there. Some bytes, 0 at the end, or KIN_EAGAIN. */
static ssize_t take(struct kin__tls *tls, void *buffer, size_t size)
{
    size_t n = 0;
    int rc;

    if (tls->read_failed < 0)
        return tls->read_failed;
    ERR_clear_error();
    rc = SSL_read_ex(tls->ssl, buffer, size, &n);
    if (rc == 1)
        return (ssize_t)n;
    if (SSL_get_error(tls->ssl, rc) == SSL_ERROR_WANT_READ)
        return KIN_EAGAIN;
    if (SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN &&
        SSL_get_error(tls->ssl, rc) == SSL_ERROR_ZERO_RETURN)
        return 0;
    return failure(tls, &tls->read_failed, rc);
}

static ssize_t read_some(struct kin__tls *tls, void *buffer, size_t size)
{
    ssize_t n;
    int rc;

    for (;;) {
        n = size > 0 ? take(tls, buffer, size) : 0;
        kin__tls_push(tls);
        if (n != KIN_EAGAIN) {
            kin_wait_skip();
            return n;
        }
        rc = kin__tls_fill(tls);
        if (rc < 0)
            return rc;
    }
}

static ssize_t tls_read(void *arg, void *buffer, size_t size)
{
    int rc = look();

    return rc < 0 ? rc : read_some(arg, buffer, size);
}

/* ------------------------------------------------------------------ writing */

/* Makes records of all of it. With the room taken before, there is nothing that could
 * stop it in the middle; at the beginning a message can that the peer has sent half of (a ticket
 * in several records): OpenSSL wants to read its end first, and that is a failure here. */
static int make_records(struct kin__tls *tls, const char *from, size_t size)
{
    size_t n, room = size + (size / KIN__TLS_RECORD + 1) * KIN__TLS_OVERHEAD;
    int rc;

    if (kin__tls_reserve(&tls->out, room) < 0)
        return -ENOMEM;
    ERR_clear_error();
    rc = SSL_write_ex(tls->ssl, from, size, &n);
    return rc == 1 ? 0 : failure(tls, &tls->write_failed, rc);
}

static int write_rest(struct kin__tls *tls, const char *from, size_t size, size_t *made)
{
    size_t piece;
    int rc;

    for (;;) {
        rc = kin__tls_flush(tls);
        if (rc < 0 || *made == size)
            return rc;
        if (tls->write_failed < 0)
            return tls->write_failed;
        piece = size - *made < KIN__TLS_BATCH ? size - *made : KIN__TLS_BATCH;
        rc = make_records(tls, from + *made, piece);
        if (rc < 0)
            return rc;
        *made += piece;
    }
}

static int tls_write_all(void *arg, const void *buffer, size_t size, size_t *done)
{
    struct kin__tls *tls = arg;
    size_t made = 0;
    int rc = look();

    if (rc == 0) {
        tls->writing = true;
        rc = tls->ended ? KIN_ECLOSED : write_rest(tls, buffer, size, &made);
        tls->writing = false;
    }
    if (done)
        *done = made;
    return rc;
}

/* Says the end once; what could not be sent of it is sent when called again. */
static int say_end(struct kin__tls *tls)
{
    int rc;

    if (!tls->ended && tls->write_failed == 0) {
        tls->ended = true;
        ERR_clear_error();
        rc = SSL_shutdown(tls->ssl);
        if (rc < 0)
            return failure(tls, &tls->write_failed, rc);
    }
    return tls->write_failed < 0 ? tls->write_failed : kin__tls_flush(tls);
}

static int tls_end(void *arg)
{
    struct kin__tls *tls = arg;
    int rc = look();

    if (rc < 0)
        return rc;
    tls->writing = true;
    rc = say_end(tls);
    tls->writing = false;
    return rc;
}

/* Closing a socket over something unread resets it, and the peer may lose what it has not read
 * either. The tickets that a server sends lie so at each client that does not read. */
static void throw_away(int fd)
{
    char piece[4096];

    for (int i = 0; i < 16 && recv(fd, piece, sizeof piece, MSG_DONTWAIT) > 0; i++)
        ;
}

static int tls_close(void *arg)
{
    struct kin__tls *tls = arg;
    int rc;

    throw_away(tls->fd);
    rc = kin_close(tls->fd);
    kin__tls_free(tls);
    return rc;
}

const struct kin_transport kin__tls_transport = {
    "tls", tls_read, tls_write_all, tls_end, tls_close
};
