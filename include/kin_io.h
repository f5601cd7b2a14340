/* kin's input and output for programs, above the descriptors of kin.h.
 *
 *   1  Names and connections      4  Servers
 *   2  Sockets, datagrams         5  Files and directories
 *   3  Streams                    6  Watching files
 *
 * Everything here is part of libkin. The rules are those of kin.h. No call takes a limit in
 * time: they obey the scopes around them.
 */
#ifndef KIN_IO_H
#define KIN_IO_H

#include "kin.h"

#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------ 1  Names and connections */

/* An address, as the system's calls want it: kin_connect(&address.any, address.length). */
typedef struct kin_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
        struct sockaddr_storage storage;
    };
    socklen_t length;
} kin_address;

/* "127.0.0.1:80", "[::1]:80", "unix:/run/x", "unix:@name" without a file; for messages. What
 * is longer than size is cut off; KIN_ADDRESS_TEXT bytes hold any. Returns text. */
#define KIN_ADDRESS_TEXT 128
KIN_API const char *kin_address_text(const kin_address *address, char *text, size_t size);

struct kin_resolve_options {
    const char *at;         /* set by the macro */
    int family;             /* AF_INET, AF_INET6; 0: both */
    int type;               /* SOCK_DGRAM …; 0: SOCK_STREAM */
    bool listen;            /* without a host: where one listens, else the loopback */
};
/* The addresses of a host (name, number, "unix:/path", "unix:@name", NULL: this one) and a
 * service (name, number, NULL: port 0), as the system finds them, best first: an array to be
 * freed. Blocks; threads look names up. How many, or KIN_ENAME, KIN_ENAMELATER, KIN_ENAMESERVER,
 * KIN_ECANCELED, KIN_EINVAL, KIN_ENORUN, -ENOMEM, -errno, and then *addresses is NULL. */
#define kin_resolve(...) KIN_RESOLVE_(__VA_ARGS__, )
#define KIN_RESOLVE_(host, service, addresses, ...) \
    kin_resolve_with(host, service, addresses, \
                     &(struct kin_resolve_options){ .at = KIN_HERE, __VA_ARGS__ })
KIN_API int kin_resolve_with(const char *host, const char *service, kin_address **addresses,
                             const struct kin_resolve_options *options);

/* A socket of kin's own, connected to the first of a name's addresses, or of these, that
 * answers: they are tried one 250 ms after the other, sooner when one fails, by turns of
 * IPv6 and IPv4 (RFC 8305). Block. If all fail, the code of the first to fail, and the error
 * has each of them; -ENOMEM, KIN_ECANCELED, KIN_EINVAL without addresses, and the codes of
 * kin_resolve. */
#define kin_connect_host(host, service) kin_connect_host_at(KIN_HERE, host, service)
#define kin_connect_any(addresses, count) kin_connect_any_at(KIN_HERE, addresses, count)
KIN_API int kin_connect_host_at(const char *at, const char *host, const char *service);
KIN_API int kin_connect_any_at(const char *at, const kin_address *addresses, size_t count);

/* ----------------------------------------------------- 2  Sockets, datagrams */

/* Sockets of kin's own; what setsockopt and getsockopt do needs no call of kin's. The
 * options of those that have an address of their own: */
struct kin_socket_options {
    const char *at;             /* set by the macro */
    int backlog;                /* of what listens; 0: the system's largest */
    bool reuse_port;            /* others may have the same address, also other processes */
    bool v6_only;               /* none of IPv4 through a socket for IPv6 */
    mode_t mode;                /* of a Unix socket's file, whatever the umask; 0: as that says */
};
/* Listens: kin_listen_at(&address, .backlog = 100). The file that a dead server has left at a
 * path is replaced; kin_close leaves it there. Does not block. The descriptor; -EADDRINUSE,
 * where somebody lives, and the like. */
#define kin_listen_at(...) KIN_LISTEN_AT_(__VA_ARGS__, )
#define KIN_LISTEN_AT_(address, ...) \
    kin_listen_at_with(address, &(struct kin_socket_options){ .at = KIN_HERE, __VA_ARGS__ })
KIN_API int kin_listen_at_with(const kin_address *address,
                               const struct kin_socket_options *options);
/* The same at an address as text, no name: NULL or "" is any, of IPv6 and IPv4. KIN_ENAME if it
 * is none, or the service is neither a number nor known: kin_listen_on("", "8080"). */
#define kin_listen_on(...) KIN_LISTEN_ON_(__VA_ARGS__, )
#define KIN_LISTEN_ON_(host, service, ...) \
    kin_listen_on_with(host, service, \
                       &(struct kin_socket_options){ .at = KIN_HERE, __VA_ARGS__ })
KIN_API int kin_listen_on_with(const char *host, const char *service,
                               const struct kin_socket_options *options);
/* The same at a path, or at "@name", which is no file. -ENAMETOOLONG beyond 107 bytes. */
#define kin_listen_unix(...) KIN_LISTEN_UNIX_(__VA_ARGS__, )
#define KIN_LISTEN_UNIX_(path, ...) \
    kin_listen_unix_with(path, &(struct kin_socket_options){ .at = KIN_HERE, __VA_ARGS__ })
KIN_API int kin_listen_unix_with(const char *path, const struct kin_socket_options *options);

/* A socket for datagrams, UDP or Unix, with an address of its own (local, may be NULL) and one
 * that it is connected to (peer, may be NULL), not both NULL. Does not block. */
#define kin_datagram_at(...) KIN_DATAGRAM_AT_(__VA_ARGS__, )
#define KIN_DATAGRAM_AT_(local, peer, ...) \
    kin_datagram_at_with(local, peer, \
                         &(struct kin_socket_options){ .at = KIN_HERE, __VA_ARGS__ })
KIN_API int kin_datagram_at_with(const kin_address *local, const kin_address *peer,
                                 const struct kin_socket_options *options);
/* Two Unix sockets, connected: SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET. 0 or -errno. */
KIN_API int kin_socket_pair(int type, int fds[2]);
/* Takes over a socket or pipe that others have made, as if kin had made it: the open file does
 * not block any more, whoever else has it. fd; KIN_EBUSY while somebody waits on it, KIN_EINVAL
 * for what is neither, -errno. */
KIN_API int kin_adopt(int fd);
/* Takes over what systemd has opened for the process (sd_listen_fds), under a name or, with
 * NULL, all: how many there are, or a code; the first count are stored. */
KIN_API int kin_activated(const char *name, int *fds, size_t count);

/* 0 or -errno. */
KIN_API int kin_local_address(int fd, kin_address *address);
KIN_API int kin_peer_address(int fd, kin_address *address);
/* shutdown(2). Who reads gets 0, who writes -EPIPE. KIN_EINVAL for what listens. Does not block. */
KIN_API int kin_shutdown(int fd, int how);

/* One datagram; from may be NULL. *cut says whether it was longer than size; with cut NULL that
 * is -EMSGSIZE. In both cases the rest is lost. 0 is an empty one, or the reading side was shut
 * down. Blocks. What came back for one that was sent fails the next call: -ECONNREFUSED. */
KIN_API ssize_t kin_receive_from(int fd, void *buffer, size_t size, kin_address *from, bool *cut);
/* To an address, or NULL: to whom it is connected. Blocks; where the system is out of buffers
 * (ENOBUFS), or a Unix receiver is behind, until it goes, asking less and less often. */
KIN_API ssize_t kin_send_to(int fd, const void *buffer, size_t size, const kin_address *to);
/* recvmsg and sendmsg, that wait; descriptors that come are close-on-exec. Flags for receiving:
 * MSG_PEEK, MSG_TRUNC; for sending: MSG_CONFIRM, MSG_DONTROUTE, MSG_EOR, MSG_MORE, MSG_OOB. */
KIN_API ssize_t kin_receive_message(int fd, struct msghdr *message, int flags);
KIN_API ssize_t kin_send_message(int fd, const struct msghdr *message, int flags);

/* Bytes (one at least) and up to 253 descriptors along with them, over a Unix socket; of a
 * stream, some of the bytes. The sender still has its own to close. Block. */
KIN_API ssize_t kin_send_fds(int fd, const void *buffer, size_t size, const int *fds, size_t count);
/* *count: room for how many; written: how many came. They are the caller's, close-on-exec, and
 * foreign until kin_adopt. If they do not fit, or a datagram does not, -EMSGSIZE, if there is no
 * room for them in the process, -EMFILE: all are closed, and the bytes are lost. */
KIN_API ssize_t kin_receive_fds(int fd, void *buffer, size_t size, int *fds, size_t *count);

/* ------------------------------------------------------------- 3  Streams */

/* What a stream is over: descriptors, or TLS (kin_tls.h), or somebody's own. The calls get
 * the stream's arg, obey the rules of kin_read and kin_write_all, and may be under way in one
 * reader and one writer at the same time. What a cancelled write_all has taken and not yet
 * sent goes out before what is written next, which may be nothing. */
struct kin_transport {
    const char *name;                           /* "descriptor", "tls" */
    ssize_t (*read)(void *arg, void *buffer, size_t size);
    int (*write_all)(void *arg, const void *buffer, size_t size, size_t *done);
    int (*end)(void *arg);                      /* nothing more is written: half-close */
    int (*close)(void *arg);                    /* lets go of all, and of arg; nobody is within */
};

/* Belongs to the caller, and is for one reader and one writer at a time: the next gets
 * KIN_EBUSY. What it consists of is kin's. */
typedef struct kin_stream {
    const struct kin_transport *transport;      /* NULL: closed */
    void *arg;
    char *in, *out;             /* buffers, made when first needed */
    size_t in_first, in_end, in_size;
    size_t out_end, out_size;
    size_t most;
    int failed;                 /* code of the first write that failed: the others repeat it */
    bool full;                  /* the last read took all that there was room for */
    bool reading, writing;      /* somebody does */
    bool ended;                 /* by kin_stream_end */
    bool cut;                   /* the last write failed: the transport may hold part of it */
    bool keep_open;
} kin_stream;

struct kin_stream_options {
    const char *at;             /* set by the macro */
    size_t most;                /* the longest line or piece, in bytes; 0: 64 KiB */
    bool keep_open;             /* closing the stream leaves the descriptor as it is */
};
/* A stream over a descriptor of any kind, or over another transport, which it takes over.
 * Neither blocks nor fails: what is wrong with it is said by what is done first. Standard
 * input: kin_stream_open(&in, 0, .keep_open = true). */
#define kin_stream_open(...) kin_stream_open_with(KIN_STREAM_ARGS_(__VA_ARGS__, ))
#define KIN_STREAM_ARGS_(stream, fd, ...) \
    stream, fd, &(struct kin_stream_options){ .at = KIN_HERE, __VA_ARGS__ }
KIN_API void kin_stream_open_with(kin_stream *stream, int fd,
                                  const struct kin_stream_options *options);
#define kin_stream_open_on(...) kin_stream_open_on_with(KIN_STREAM_ON_ARGS_(__VA_ARGS__, ))
#define KIN_STREAM_ON_ARGS_(stream, transport, arg, ...) \
    stream, transport, arg, &(struct kin_stream_options){ .at = KIN_HERE, __VA_ARGS__ }
KIN_API void kin_stream_open_on_with(kin_stream *stream, const struct kin_transport *transport,
                                     void *arg, const struct kin_stream_options *options);

/* Reading. All block, and when they fail or are cancelled all that has come and was not
 * taken can still be read. Some bytes; 0 at the end. */
KIN_API ssize_t kin_stream_read(kin_stream *stream, void *buffer, size_t size);
/* So many bytes: 0, or KIN_EEOF if it ends before. *got (may be NULL) says how many lie in
 * buffer, also when it failed. */
KIN_API int kin_stream_read_exactly(kin_stream *stream, void *buffer, size_t size, size_t *got);
/* A line without its end, "\n" or "\r\n", which the last one need not have: 1, or 0 at the end.
 * The line ends with a 0 that is not counted, and is the stream's until the next call that
 * reads. -EMSGSIZE: longer than .most, and nothing was taken. size may be NULL. */
KIN_API int kin_stream_read_line(kin_stream *stream, char **line, size_t *size);
/* The same up to any delimiter of 1 to .most bytes. KIN_EEOF: the stream has ended without it;
 * *piece and *size then tell what is left, and was not taken. */
KIN_API int kin_stream_read_until(kin_stream *stream, const void *delimiter, size_t length,
                                  char **piece, size_t *size);
/* Everything until the end: 0 and *data, ending with a 0 that is not counted, for free(). At
 * most so many bytes (0: 16 MiB): -EMSGSIZE beyond, and nothing was taken. */
KIN_API int kin_stream_read_all(kin_stream *stream, size_t most, char **data, size_t *size);

/* Writing: into a buffer of up to 16 KiB, which goes out when it is full, or flushed, or the
 * stream ended or closed. All block while the peer does not read. 0 or a code; *done (may be
 * NULL) says how much was taken, also when it failed; below 16 KiB that is all or nothing.
 * A cancelled write or flush can be gone on with; any other failure stays. */
KIN_API int kin_stream_write(kin_stream *stream, const void *data, size_t size, size_t *done);
KIN_API int kin_stream_printf(kin_stream *stream, const char *format, ...) KIN_PRINTF(2, 3);
KIN_API int kin_stream_flush(kin_stream *stream);
/* Flushes, then half-closes: the peer sees the end, and can still be read from. Blocks. Writing
 * is KIN_ECLOSED from then on. -ENOTSOCK for descriptors that can only be closed. */
KIN_API int kin_stream_end(kin_stream *stream);
/* Flushes, closes whatever happened, and returns the first failure, KIN_ECANCELED if that kept
 * written data from going out. Blocks only for that. No-op when closed. KIN_EBUSY, and nothing
 * is done, while another task reads or writes. */
KIN_API int kin_stream_close(kin_stream *stream);

/* Copies until the end, or so many bytes. Blocks. *copied (may be NULL) says how many, also
 * when it failed; what was read and not written can still be read. Flushes "to" first. */
KIN_API int kin_stream_copy(kin_stream *to, kin_stream *from, uint64_t most, uint64_t *copied);

/* -------------------------------------------------------------- 4  Servers */

struct kin_serve_counts {       /* kept up to date while it serves */
    uint64_t accepted;
    uint64_t failed;            /* not those whose peer has just gone away */
    uint64_t cut;               /* were still busy when .drain was over */
};
struct kin_serve_options {
    const char *at;             /* set by the macro */
    const char *name;           /* of the connections' tasks: name[1], name[2] …; borrowed */
    uint32_t limit;             /* so many at once; the others wait in the backlog. 0: any */
    int64_t drain;              /* how long connections may go on when the server is to end */
    size_t stack;               /* bytes of address space for each task; 0: the run's */
    /* Told why a connection failed, in its task; arg is the server's. NULL: that is reported. */
    void (*failed)(const kin_error *error, void *arg);
    struct kin_serve_counts *counts;
};
/* Runs fn(fd, arg) in a task for each connection, and closes fd when that has returned; until
 * the caller is cancelled or the listener, which is its own from the call on, closed. Then it
 * accepts no more, and waits for those under way, cancelled softly with .drain as the grace.
 * Where descriptors or memory are short it waits. Blocks. 0 when the listener was closed;
 * KIN_ECANCELED, KIN_EINVAL, KIN_EBUSY (others accept from it), -ENOMEM, -errno of accept. */
#define kin_serve(...) KIN_SERVE_(__VA_ARGS__, )
#define KIN_SERVE_(listener_fd, fn, arg, ...) \
    kin_serve_with(listener_fd, fn, arg, &(struct kin_serve_options){ .at = KIN_HERE, __VA_ARGS__ })
KIN_API int kin_serve_with(int listener_fd, int (*fn)(int fd, void *arg), void *arg,
                           const struct kin_serve_options *options);

/* For a connection between two requests: waits until there is something to read. Blocks.
 * 1; 0 when the server is to end and there is nothing, so that the connection may go; or a
 * code of kin_wait_fd, which it is outside of a server. */
KIN_API int kin_serve_idle(int fd);

/* ------------------------------------------------- 5  Files and directories */

/* None of these holds up the run: io_uring does them, or a thread (kin_thread_run); what is in
 * the page cache is had at once. All block but kin_directory_close. One that is cancelled
 * when it is under way returns when it is over, with what came of it. Codes: the system's,
 * KIN_ECANCELED, KIN_ENORUN, -ENOSYS without descriptors; -ENOMEM, -EAGAIN (no thread). */

/* A descriptor for kin_read, kin_write and kin_close, always close-on-exec; mode is for
 * O_CREAT. Without O_NONBLOCK, opening a FIFO for writing waits for its reader. Opening it
 * for reading never waits: kin_read does, for the first writer. */
KIN_API int kin_open(const char *path, int flags, mode_t mode);

/* At an offset of a regular file or block device (else -ESPIPE), any number at a time: how much
 * was moved. kin_close waits for those that are under way. */
KIN_API ssize_t kin_read_at(int fd, void *buffer, size_t size, int64_t offset);
KIN_API ssize_t kin_write_at(int fd, const void *buffer, size_t size, int64_t offset);
KIN_API int kin_ftruncate(int fd, int64_t size);
KIN_API int kin_fsync(int fd);
KIN_API int kin_fdatasync(int fd);

/* What stat(2), rename(2), … do. */
KIN_API int kin_stat(const char *path, struct stat *status);
KIN_API int kin_rename(const char *from, const char *to);
KIN_API int kin_unlink(const char *path);
KIN_API int kin_mkdir(const char *path, mode_t mode);
KIN_API int kin_rmdir(const char *path);

/* All of a file, in memory that the caller frees, with a 0 behind it that is not counted. At
 * most so many bytes (0: 16 MiB): -EMSGSIZE beyond. After an error *data is NULL. */
KIN_API int kin_read_file(const char *path, size_t most, char **data, size_t *size);
/* Makes this the file's contents, or leaves the old one as it was: written beside it, synced,
 * renamed over it, and the directory synced. The new file has the mode, less the umask. When
 * the last step alone fails, the new one is there but may not outlive a crash. */
KIN_API int kin_write_file(const char *path, const void *data, size_t size, mode_t mode);

/* A directory's entries, read in pieces. Belongs to the caller; for one task at a time. */
typedef struct kin_directory {
    int fd;
    bool busy;
    char *buffer;
    size_t first, end;
} kin_directory;
struct kin_entry {
    const char *name;       /* valid until the next call */
    mode_t type;            /* S_ISREG(type), S_ISDIR(type) …; 0 if it went away meanwhile */
    uint64_t inode;
};
KIN_API int kin_directory_open(kin_directory *directory, const char *path);
/* 1: another, in the file system's order, without "." and ".."; 0: there are no more; or a
 * code. KIN_EBUSY while another task is in it. */
KIN_API int kin_directory_next(kin_directory *directory, struct kin_entry *entry);
/* 0; KIN_EBUSY while a task is in next, and nothing is done. No-op when closed. */
KIN_API int kin_directory_close(kin_directory *directory);

/* -------------------------------------------------------- 6  Watching files */

/* What happens to files and directories, by inotify(7). Belongs to the caller, and stays where
 * it is while a task waits for it. */
typedef struct kin_file_watch {
    int fd;
    uint32_t first, end;        /* bytes of the buffer: events not yet taken */
    bool busy;                  /* a task waits */
    uint32_t buffer[1024];
} kin_file_watch;
struct kin_file_event {
    int id;                     /* what add returned; -1 with IN_Q_OVERFLOW */
    uint32_t mask;              /* IN_… of <sys/inotify.h>. IN_Q_OVERFLOW: some were lost;
                                 * IN_IGNORED: the last of this id */
    uint32_t cookie;            /* the same in the two halves of a rename, else 0 */
    const char *name;           /* in the watched directory; "" for itself. Until the next call */
};
/* Does not block. 0; -EMFILE where the user has too many (or the process, descriptors). */
KIN_API int kin_file_watch_open(kin_file_watch *watch);
/* An id, the same for the same file. Blocks. -ENOSPC where the user has too many. */
KIN_API int kin_file_watch_add(kin_file_watch *watch, const char *path, uint32_t mask);
/* Does not block. 0 or -errno. Events that are there already still come, then IN_IGNORED. */
KIN_API int kin_file_watch_remove(kin_file_watch *watch, int id);
/* The next event. Blocks; a cancelled call loses none. 0 or a code; KIN_EBUSY where another
 * task waits, KIN_ECLOSED when it is closed meanwhile. */
KIN_API int kin_file_watch_next(kin_file_watch *watch, struct kin_file_event *event);
KIN_API int kin_file_watch_close(kin_file_watch *watch);    /* no-op when closed */

#ifdef __cplusplus
}
#endif
#endif
