/* Unix sockets at a path: what path.c does for listen.c. */
#ifndef KIN__PATH_H
#define KIN__PATH_H

#include "kin_io.h"

/* A path in an address need not end with a 0; here it does. */
enum { KIN__PATH_SIZE = sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1 };

/* False: the address is of no file. */
bool kin__path_of(const kin_address *address, char path[KIN__PATH_SIZE]);
/* Keeps others that do the same from binding the path; -EADDRINUSE: they keep us. */
int kin__path_claim(const char *path);
void kin__path_let_go(int claim);
/* Binds the socket, with that mode if it is not 0, where nobody lives. 0 or -errno. */
int kin__path_bind(int fd, const char *path, int type, mode_t mode);
void kin__path_remove(const char *path);

#endif
