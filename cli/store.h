#ifndef KIN_CLI_STORE_H
#define KIN_CLI_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The directory of -o. */
struct store {
    const char *path;
    int fd;                     /* -1: there is none */
    bool named;                 /* files must have a name from the start */
    struct name_hint {
        uint64_t hash;
        uint32_t next;          /* the number that the next of that name gets */
    } hints[1024];
};

/* A file that is being written. */
struct store_file {
    int fd;                     /* -1: none */
    char name[256];             /* the final name, claimed for it … */
    uint64_t hash;              /* … as the number-th of that name */
    uint32_t number;
    char temporary[32];         /* its present name; "" where it has none */
};
#define STORE_FILE_INIT { .fd = -1 }

/* Opens the directory, making it if its parent is there, and tries that a file
 * can be made in it. 0 or -errno. */
int store_open(struct store *store, const char *path);
void store_close(struct store *store);

/* Starts a file for the page of a URL. 0 or -errno. */
int store_begin(struct store *store, struct store_file *file, const char *url);
int store_append(struct store_file *file, const void *data, size_t size);
/* Throws away what was written so far, to begin again. */
int store_rewind(struct store_file *file);
/* Gives the complete file its name; 0 or -errno, and then nothing is left of it. */
int store_commit(struct store *store, struct store_file *file);
void store_abandon(struct store *store, struct store_file *file);

#endif
