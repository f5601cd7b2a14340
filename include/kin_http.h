/* libkin-http: HTTP for kin, on libcurl.
 *
 * One curl multi handle a run, driven by one helper task: connections, TLS
 * sessions, names and the CA bundle are shared by all requests of the run. kin's
 * scopes are the only clock: a request counts from the call, is cancelled with
 * its task, and has ended in every respect when the call returns.
 */
#ifndef KIN_HTTP_H
#define KIN_HTTP_H

#include "kin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Failures of a transfer: class KIN_CLASS_HTTP, the number is curl's CURLcode. */
#define KIN_EHTTP(curlcode) KIN_CODE(KIN_CLASS_HTTP, (curlcode))
/* Numbers of libkin-http's own, above curl's: */
#define KIN_EHTTP_TOO_LARGE KIN_EHTTP(1001)     /* the body is longer than max_body */
#define KIN_EHTTP_HEADERS KIN_EHTTP(1002)       /* the headers are longer than max_headers */
#define KIN_EHTTP_SCHEME KIN_EHTTP(1003)        /* neither http nor https */

/* Answers of 400 and more, as kin_http_check returns them. */
#define KIN_EHTTP_STATUS(status) KIN_CODE(KIN_CLASS_HTTP_STATUS, (status))

/* For kin_error_walk and its kin: every failed transfer, every 4xx, every 5xx. */
KIN_API kin_match kin_match_http(void);
KIN_API kin_match kin_match_http_client_error(void);
KIN_API kin_match kin_match_http_server_error(void);

/* A callback that takes a piece of the body, in the caller's task: it may block,
 * and as long as it does the sender is held back (for that, over HTTP/1.1). 0, or a
 * negative code, which ends the request with that code. */
typedef int kin_http_sink(void *arg, const void *data, size_t size);
/* A callback that gives the next piece of the request's body, likewise: the
 * number of bytes written to buffer, 0 at the end, or a negative code. */
typedef ssize_t kin_http_source(void *arg, void *buffer, size_t size);

struct kin_http_request {
    const char *at;                 /* set by the macro */
    const char *url;                /* http: or https: */
    const char *method;             /* NULL: GET, or POST with a body */
    const char *const *headers;     /* "Name: value", ended by NULL */
    const void *body;               /* from memory … */
    size_t body_size;
    kin_http_source *source;        /* … or from a callback, of source_size bytes; */
    void *source_arg;
    int64_t source_size;            /* 0 or less: unknown, sent in chunks */
    kin_http_sink *sink;            /* where the response's body goes: a callback, … */
    void *sink_arg;
    int to_fd;                      /* … a file's descriptor (0: none), or memory */
    size_t max_body;                /* cap, whichever it is; 0: 64 MiB in memory, else none */
    size_t max_headers;             /* 0: 1 MiB; newer curls stop at 300 KiB by themselves */
    int max_redirects;              /* 0: 10; negative: do not follow */
    const char *proxy;              /* NULL: as the environment says; "": none */
    const char *ca_file;            /* PEM; NULL: the system's */
    const char *user_agent;         /* NULL: "kin/" and the version */
    bool insecure;                  /* do not verify the server's certificate */
    bool http1;                     /* no HTTP/2 */
    bool no_compression;            /* do not ask for a compressed body */
};

/* A response, filled as far as the request came, also on failure. Zeroed or
 * filled, it can be freed; the caller frees it. */
typedef struct kin_http_response {
    int status;                     /* 0: none came */
    int redirects;
    char *body;                     /* memory mode: NUL-terminated; else NULL */
    size_t body_size;               /* bytes after decompression, in every mode */
    char *url;                      /* of the last hop */
    char *type;                     /* Content-Type, or NULL */
    int http_version;               /* 10, 11, 20 */
    char **headers;                 /* of the last hop, "Name: value"; ended by NULL */
    size_t header_count;
    char *remote;                   /* "127.0.0.1:80", or NULL */
} kin_http_response;

/* Makes a request and waits for the whole response. Blocks. 0 whatever the
 * status; KIN_ECANCELED, KIN_EHTTP(…) with curl's own words and the URL in the error
 * slot, -errno of to_fd, -ENOMEM, KIN_EINVAL, or what a callback returned. */
#define kin_http(response, ...) \
    kin_http_with((response), &(struct kin_http_request){ .at = KIN_HERE, __VA_ARGS__ })
KIN_API int kin_http_with(kin_http_response *response, const struct kin_http_request *request);
KIN_API int kin_http_get(const char *url, kin_http_response *response);
#ifndef __cplusplus
#define kin_http_get(address, response) kin_http((response), .url = (address))
#endif

/* 0 if the status is below 400, else KIN_EHTTP_STATUS(status) with URL and status
 * in the error slot: return kin_http_check(&r); */
KIN_API int kin_http_check(const kin_http_response *response);
KIN_API int kin_http_check_at(const char *at, const kin_http_response *response);
#ifndef __cplusplus
#define kin_http_check(response) kin_http_check_at(KIN_HERE, (response))
#endif
/* The value of the first header of that name, any case; NULL where none. */
KIN_API const char *kin_http_header(const kin_http_response *response, const char *name);
KIN_API void kin_http_response_free(kin_http_response *response);

#ifdef __cplusplus
}
#endif
#endif
