/* A run inside of somebody else's event loop: the loop of a window, say, which draws a frame
 * every 5 ms, polls kin's descriptor beside its own, and steps the run when that is readable.
 *
 * Prints:
 *     3 parts loaded
 *     the window was drawn meanwhile
 */
#include <kin.h>
#include <kin_ext.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Stands for a request. */
static int load(void *arg)
{
    int *loaded = arg;
    int rc = kin_sleep(KIN_MS(10));

    if (rc == 0)
        ++*loaded;
    return rc;
}

static int load_parts(void *arg)
{
    kin_group g = kin_group_open(.name = "parts", .limit = 1);

    for (int i = 0; i < 3; i++)
        kin_spawn(&g, load, arg, .name = "part", .index = i + 1);
    return kin_group_close(&g, 0);
}

/* The loop: until the run has ended. */
static uint64_t draw_and_step(kin_host *host, int frames)
{
    struct pollfd fd[2] = { { .fd = frames, .events = POLLIN },
                            { .fd = kin_host_fd(host), .events = POLLIN } };
    uint64_t drawn = 0, due;
    int more;

    while ((more = kin_host_step(host)) >= 0) {
        poll(fd, 2, more ? 0 : -1);
        if (fd[0].revents && read(frames, &due, sizeof due) > 0)
            drawn++;                    /* stands for drawing a frame */
    }
    return drawn;
}

int main(void)
{
    struct itimerspec every = { .it_value.tv_nsec = 5000000, .it_interval.tv_nsec = 5000000 };
    int frames = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), loaded = 0, rc;
    kin_host *host;
    uint64_t drawn;

    if (frames < 0 || kin_host_open(&host, load_parts, &loaded) < 0)
        return 1;
    timerfd_settime(frames, 0, &every, NULL);
    drawn = draw_and_step(host, frames);
    rc = kin_host_close(host);          /* would cancel and join what still ran */
    close(frames);
    printf("%d parts loaded\n", loaded);
    if (drawn > 0)
        printf("the window was drawn meanwhile\n");
    return rc < 0;
}
