/* The part of files that knows io_uring; backend_uring.c's. */
#ifndef KIN__FILE_URING_H
#define KIN__FILE_URING_H

#include "io/file.h"

struct io_uring_sqe;

/* The submission for a KIN__OP_FILE, but for its user data. */
void kin__file_fill(struct io_uring_sqe *sqe, const struct kin__op *op);
/* What a completion means for who waits. */
int kin__file_outcome(const struct kin__op *op, int result);
/* kin__io_backend.file_call */
int kin__file_in_ring(struct kin__file_call *call);

#endif
