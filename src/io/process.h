/* Processes: what starting and the rest of their life share. */
#ifndef KIN__PROCESS_H
#define KIN__PROCESS_H

#include "io/io.h"
#include "kin_os.h"

/* The descriptors that a child is to have as 0, 1 and 2; starts it. Its pid, or -errno. */
pid_t kin__process_fork(const char *const argv[], const struct kin_process_options *options,
                        const int fds[3]);

#endif
