/* libkin-http's own view of itself.
 *
 * Two sides meet at a struct kin__http_transfer. The caller's task (request.c)
 * fills in what it wants, puts a command into the driver's inbox, and parks. The
 * driver (driver.c) is the one task that ever enters curl: it builds the easy
 * handle (setup.c), moves bytes between curl and the transfer (body.c), and at
 * the end fills the response (response.c) and wakes the caller.
 *
 * Curl on one task only: its calls need a far deeper stack than tasks have, a
 * multi handle must not be entered twice, and its callbacks come at any depth of
 * it. So a callback only copies, notes and wakes; what may block (a sink, a
 * source) runs in the caller's task.
 */
#ifndef KIN_HTTP_INTERNAL_H
#define KIN_HTTP_INTERNAL_H

#include "kin_ext.h"
#include "kin_http.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <string.h>

enum {
    KIN__HTTP_PIECE = 64 * 1024,        /* what a streamed body may be ahead of its task */
    KIN__HTTP_URL_SHOWN = 176,          /* bytes of a URL for people, at most */
    KIN__HTTP_BUFFER = 16 * 1024,       /* what curl reads, and unpacks, at once */
    KIN__HTTP_IDLE = 64,                /* transfers kept for reuse, with their easy handles */
    KIN__HTTP_LULL = 4,                 /* turns of the others before kept connections rest */
    KIN__HTTP_BATCH = 32,               /* commands obeyed in a round */
    KIN__HTTP_ROUND_MS = 5,             /* of serving sockets, then the others get their turn */
    KIN__HTTP_BELIEVED = 1024 * 1024,   /* announced lengths up to here get their room at once */
    KIN__HTTP_MAX_BODY = 64 * 1024 * 1024,
    KIN__HTTP_MAX_HEADERS = 1024 * 1024,
    KIN__HTTP_CURLS_HEADERS = 200 * 1000,       /* where curl may stop by itself, see code_of */
    KIN__HTTP_MAX_REDIRECTS = 10
};

/* What a caller asks of the driver, about its transfer. */
enum kin__http_command {
    KIN__HTTP_START = 1 << 0,
    KIN__HTTP_RESUME = 1 << 1,          /* a piece was taken, or one was given */
    KIN__HTTP_REMOVE = 1 << 2,          /* end it, whatever its state */
    KIN__HTTP_DISCARD = 1 << 3          /* free it; it is over, and nobody has it */
};

/* Bytes on their way: a memory body, or a piece of a streamed one. */
struct kin__http_bytes {
    char *data;
    size_t used, capacity;
};

/* What an easy handle is set to, apart from the URL, where that is nothing unusual. */
struct kin__http_settings {
    bool known, https, http1, insecure, no_compression;
    int max_redirects;
    char *ca_file;                      /* a copy */
};

struct kin__http_transfer {
    struct kin__http_transfer *next;    /* in the inbox */
    struct kin__http_transfer *next_idle;
    struct kin__http_transfer *next_listed, **link;     /* running or starving; NULL: neither */
    struct kin__http_driver *driver;
    struct kin__http_sockets *sockets;
    const struct kin_http_request *request;     /* the caller's, like … */
    kin_http_response *response;        /* … this, which only finish writes */
    struct kin_wait wait;               /* the caller's, while parked */
    unsigned commands;                  /* enum kin__http_command */
    bool posted;                        /* is in the inbox */
    bool parked;                        /* the caller waits for the driver */
    bool set_up;                        /* .easy is about this request */
    bool running;                       /* curl has it */
    bool over;                          /* it has ended, with .result */
    bool withdrawn;                     /* the caller itself asked for the removal */
    bool detached;                      /* the caller has gone; the driver releases it */
    bool starved;                       /* a socket was refused for want of descriptors … */
    long open_then;                     /* … when so many were open, the last time */
    int result;                         /* 0 or a code */
    int cause;                          /* of a callback; curl knows only that it failed */

    /* The response's head: lines of the last hop, each ended by NUL. */
    struct kin__http_bytes head;
    size_t head_lines;
    bool in_head;                       /* it has begun, and not ended */
    size_t head_total;                  /* bytes of all hops, against max_headers */

    /* The response's body. In memory all is in body; streamed, curl fills body
     * while the caller empties drain, and then they change places. */
    struct kin__http_bytes body, drain;
    size_t body_total, body_room;       /* bytes taken, and how many more may come */
    bool streams;                       /* to a sink or a descriptor */
    bool receive_paused;

    /* The request's body. From memory offset walks over it; streamed, the caller
     * fills upload and curl empties it. */
    struct kin__http_bytes upload;
    size_t offset;
    int64_t upload_left;                /* bytes that the source still owes; negative: unknown */
    bool upload_wanted, upload_ended;

    CURL *easy;
    struct kin__http_settings settings; /* of easy, by the last request that ended well */
    struct curl_slist *headers;
    char error[CURL_ERROR_SIZE];
};

/* transfer.c: its reuse, and its end, which is the driver's to bring about. */
void kin__http_transfer_clear(struct kin__http_transfer *transfer);
void kin__http_transfer_free(struct kin__http_transfer *transfer);
/* It is in one list at most; removing it from none is fine. */
void kin__http_list_add(struct kin__http_transfer **list, struct kin__http_transfer *transfer);
void kin__http_list_remove(struct kin__http_transfer *transfer);

/* driver.c: one a run. The caller's side of it: */
struct kin__http_driver;
int kin__http_acquire(struct kin__http_transfer **transfer);
void kin__http_release(struct kin__http_transfer *transfer);
void kin__http_command(struct kin__http_transfer *transfer, enum kin__http_command command);
/* From curl's callbacks: lets the caller look at its transfer. */
void kin__http_notify(struct kin__http_transfer *transfer);

/* Ends a transfer from within one of curl's callbacks that has no result to say so. */
void kin__http_fail(struct kin__http_transfer *transfer, int code);

/* socket.c: what curl waits for. */
struct kin__http_socket;
struct kin__http_socket_list {
    struct kin__http_socket *first, *last;
};
struct kin__http_sockets {
    CURLM *multi;
    struct kin__http_socket **by_fd;
    size_t capacity;
    struct kin__http_socket_list ready, resting;
    int64_t due;                        /* curl's timer, absolute; 0: now; KIN_FOREVER: none */
    long open;                          /* sockets of connections */
    void (*wake)(void *arg);            /* the driver has something to do */
    void *arg;
};
bool kin__http_sockets_adopt(struct kin__http_sockets *sockets, CURLM *multi);
void kin__http_sockets_setup(struct kin__http_sockets *sockets,
                             struct kin__http_transfer *transfer);
/* Hands what is ready, as far as a round's time goes, and the timer, if it is due, to
 * curl. False if curl could not do what it had to. */
bool kin__http_sockets_serve(struct kin__http_sockets *sockets);
bool kin__http_sockets_pending(const struct kin__http_sockets *sockets);
void kin__http_sockets_rest(struct kin__http_sockets *sockets);
void kin__http_sockets_close(struct kin__http_sockets *sockets);

/* setup.c: tells curl what the request wants, of a handle that is new or reset. CURLE_OK, or
 * why not. Again is for one that need not be reset, since only the URL is another. */
CURLcode kin__http_setup(struct kin__http_transfer *transfer);
bool kin__http_is_again(const struct kin__http_transfer *transfer);
CURLcode kin__http_setup_again(struct kin__http_transfer *transfer);
void kin__http_settings_forget(struct kin__http_transfer *transfer);

/* file.c: a piece of a body to a descriptor of any kind. Blocks. 0 or a code. */
int kin__http_write_fd(int fd, const char *data, size_t size);

/* body.c: curl's callbacks. The userdata of all of them is the transfer. */
size_t kin__http_on_header(char *line, size_t size, size_t count, void *transfer);
size_t kin__http_on_body(char *data, size_t size, size_t count, void *transfer);
size_t kin__http_on_upload(char *buffer, size_t size, size_t count, void *transfer);
int kin__http_on_rewind(void *transfer, curl_off_t offset, int origin);
int kin__http_bytes_reserve(struct kin__http_bytes *bytes, size_t capacity);

/* response.c: fills in what came. 0 or -ENOMEM. */
int kin__http_response_fill(struct kin__http_transfer *transfer);

/* error.c: once a process: curl's own set-up and the texts of the codes. */
int kin__http_global_init(void);

/* response.c; writes to shown, of KIN__HTTP_URL_SHOWN bytes, and returns it */
const char *kin__http_url_shown(const char *url, char *shown);

#endif
