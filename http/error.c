/* What can go wrong with a request, as codes, names and sentences.
 *
 * A transfer that fails has curl's own number, so that nothing is lost in
 * translation: KIN_EHTTP(CURLE_COULDNT_CONNECT) prints as that name with curl's
 * sentence. Our own few lie above curl's range. An answer of 400 and more is no
 * failed transfer but a class of its own, with the status as its number, so that
 * "every 5xx" is a range of codes.
 *
 * The classes are registered, and curl set up, once a process: at the first
 * request, so that a program that makes none pays nothing for it.
 */
#include "http.h"

#include <pthread.h>

/* Names in curl's order are found by their numbers; gaps are numbers that are
 * no longer in use, or that curl alone sees. */
#define CURL_CODES(X)                                                                     \
    X(UNSUPPORTED_PROTOCOL) X(FAILED_INIT) X(URL_MALFORMAT) X(NOT_BUILT_IN)               \
    X(COULDNT_RESOLVE_PROXY) X(COULDNT_RESOLVE_HOST) X(COULDNT_CONNECT)                   \
    X(WEIRD_SERVER_REPLY) X(REMOTE_ACCESS_DENIED) X(HTTP2) X(PARTIAL_FILE)                \
    X(HTTP_RETURNED_ERROR) X(WRITE_ERROR) X(UPLOAD_FAILED) X(READ_ERROR) X(OUT_OF_MEMORY) \
    X(OPERATION_TIMEDOUT) X(RANGE_ERROR) X(HTTP_POST_ERROR) X(SSL_CONNECT_ERROR)          \
    X(BAD_DOWNLOAD_RESUME) X(FUNCTION_NOT_FOUND) X(ABORTED_BY_CALLBACK)                   \
    X(BAD_FUNCTION_ARGUMENT) X(INTERFACE_FAILED) X(TOO_MANY_REDIRECTS) X(UNKNOWN_OPTION)  \
    X(GOT_NOTHING) X(SSL_ENGINE_NOTFOUND) X(SSL_ENGINE_SETFAILED) X(SEND_ERROR)           \
    X(RECV_ERROR) X(SSL_CERTPROBLEM) X(SSL_CIPHER) X(PEER_FAILED_VERIFICATION)            \
    X(BAD_CONTENT_ENCODING) X(FILESIZE_EXCEEDED) X(USE_SSL_FAILED) X(SEND_FAIL_REWIND)    \
    X(SSL_ENGINE_INITFAILED) X(LOGIN_DENIED) X(SSL_CACERT_BADFILE) X(SSL_SHUTDOWN_FAILED) \
    X(AGAIN) X(SSL_CRL_BADFILE) X(SSL_ISSUER_ERROR) X(CHUNK_FAILED)                       \
    X(NO_CONNECTION_AVAILABLE) X(SSL_PINNEDPUBKEYNOTMATCH) X(SSL_INVALIDCERTSTATUS)       \
    X(HTTP2_STREAM) X(RECURSIVE_API_CALL) X(AUTH_ERROR) X(HTTP3) X(QUIC_CONNECT_ERROR)    \
    X(PROXY) X(SSL_CLIENTCERT) X(UNRECOVERABLE_POLL)

/*      code                 sentence */
#define OWN_CODES(X)                                                  \
    X(KIN_EHTTP_TOO_LARGE, "the body is longer than max_body")        \
    X(KIN_EHTTP_HEADERS, "the headers are longer than max_headers")   \
    X(KIN_EHTTP_SCHEME, "the URL is neither http: nor https:")

#define STATUSES(X)                                                                       \
    X(400, "Bad Request") X(401, "Unauthorized") X(402, "Payment Required")               \
    X(403, "Forbidden") X(404, "Not Found") X(405, "Method Not Allowed")                  \
    X(406, "Not Acceptable") X(407, "Proxy Authentication Required")                      \
    X(408, "Request Timeout") X(409, "Conflict") X(410, "Gone")                           \
    X(411, "Length Required") X(412, "Precondition Failed") X(413, "Content Too Large")   \
    X(414, "URI Too Long") X(415, "Unsupported Media Type")                               \
    X(416, "Range Not Satisfiable") X(417, "Expectation Failed")                          \
    X(421, "Misdirected Request") X(422, "Unprocessable Content") X(423, "Locked")        \
    X(424, "Failed Dependency") X(425, "Too Early") X(426, "Upgrade Required")            \
    X(428, "Precondition Required") X(429, "Too Many Requests")                           \
    X(431, "Request Header Fields Too Large") X(451, "Unavailable For Legal Reasons")     \
    X(500, "Internal Server Error") X(501, "Not Implemented") X(502, "Bad Gateway")       \
    X(503, "Service Unavailable") X(504, "Gateway Timeout")                               \
    X(505, "HTTP Version Not Supported") X(506, "Variant Also Negotiates")                \
    X(507, "Insufficient Storage") X(508, "Loop Detected") X(510, "Not Extended")         \
    X(511, "Network Authentication Required")

static const char *http_name(int number)
{
    switch (KIN_EHTTP(number)) {
#define CASE(name, text) case name: return #name;
        OWN_CODES(CASE)
#undef CASE
    default:
        break;
    }
    switch (number) {
#define CASE(name) case CURLE_##name: return "CURLE_" #name;
        CURL_CODES(CASE)
#undef CASE
    default:
        return NULL;
    }
}

static const char *http_text(int number)
{
    switch (KIN_EHTTP(number)) {
#define CASE(name, text) case name: return text;
        OWN_CODES(CASE)
#undef CASE
    default:
        return number > 0 && number < CURL_LAST ? curl_easy_strerror((CURLcode)number) : NULL;
    }
}

static const char *status_name(int number)
{
    switch (number) {
#define CASE(number, text) case number: return "HTTP_" #number;
        STATUSES(CASE)
#undef CASE
    default:
        return number < 500 ? "HTTP_4XX" : "HTTP_5XX";
    }
}

static const char *status_text(int number)
{
    switch (number) {
#define CASE(number, text) case number: return #number " " text;
        STATUSES(CASE)
#undef CASE
    default:
        return number < 500 ? "client error" : "server error";
    }
}

static const struct kin_class_texts http_class = {
    KIN_CLASS_HTTP, "http", http_name, http_text
};
static const struct kin_class_texts status_class = {
    KIN_CLASS_HTTP_STATUS, "http status", status_name, status_text
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_result;

static void global_init(void)
{
    CURLcode rc = curl_global_init(CURL_GLOBAL_DEFAULT);

    once_result = rc == CURLE_OK ? 0 : KIN_EHTTP((int)rc);
}

int kin__http_global_init(void)
{
    pthread_once(&once, global_init);
    return once_result;
}

/* Without memory for it the codes stay, only their texts are "unknown". */
__attribute__((constructor)) static void register_classes(void)
{
    (void)kin_class_register(&http_class);
    (void)kin_class_register(&status_class);
}

kin_match kin_match_http(void)
{
    return kin_match_class(KIN_CLASS_HTTP);
}

/* Codes are negative: the highest status is the lowest code. */
kin_match kin_match_http_client_error(void)
{
    return (kin_match){ .from = KIN_EHTTP_STATUS(499), .to = KIN_EHTTP_STATUS(400) };
}

kin_match kin_match_http_server_error(void)
{
    return (kin_match){ .from = KIN_EHTTP_STATUS(599), .to = KIN_EHTTP_STATUS(500) };
}
