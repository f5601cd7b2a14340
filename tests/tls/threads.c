/* Contexts are shared by runs of several threads, and outlive none that uses them. */
#include "tls_test.h"

#include "tls/tls.h"

#include <pthread.h>

enum { THREADS = 4, EACH = 8 };

struct shared {
    kin_tls_context *client, *server;
};

static int connections(void *arg)
{
    const struct shared *shared = arg;
    kin_tls_session *session = NULL;

    for (int i = 0; i < EACH; i++) {
        struct pair pair = { .client_context = shared->client, .server_context = shared->server,
                             .session = session };
        struct kin_tls_facts facts;

        make_pair(&pair);
        say(&pair.server, &pair.client, "ping");
        say(&pair.client, &pair.server, "pong");
        CHECK_CODE(kin_tls_facts(&pair.client, &facts), 0);
        CHECK_INT(facts.reused, i > 0);
        kin_tls_session_free(session);
        session = kin_tls_session_get(&pair.client);
        pair.client_context = pair.server_context = NULL;
        close_pair(&pair);
    }
    kin_tls_session_free(session);
    return 0;
}

static void *run_thread(void *arg)
{
    struct shared *shared = arg;

    CHECK_CODE(kin_run(connections, shared), 0);
    kin_tls_context_free(shared->client);       /* each has one of its own to let go of */
    kin_tls_context_free(shared->server);
    return NULL;
}

TEST_LIMIT(contexts_are_shared_by_threads, 60)
{
    pthread_t thread[THREADS];
    struct shared shared;

    pki_begin();
    shared = (struct shared){ client_context(), server_context() };
    for (int i = 0; i < THREADS; i++) {
        kin__tls_context_keep(shared.client);
        kin__tls_context_keep(shared.server);
        CHECK_INT(pthread_create(&thread[i], NULL, run_thread, &shared), 0);
    }
    kin_tls_context_free(shared.client);
    kin_tls_context_free(shared.server);
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(thread[i], NULL), 0);
    pki_end();
}
