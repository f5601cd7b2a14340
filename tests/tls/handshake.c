/* Handshakes that succeed, and what they agree upon. */
#include "tls_test.h"

#include <stdio.h>
#include <stdlib.h>

TLS_TEST(client_and_server_agree)
{
    struct pair pair = { 0 };
    struct kin_tls_facts facts;

    make_pair(&pair);
    say(&pair.client, &pair.server, "ping");
    say(&pair.server, &pair.client, "pong");
    CHECK_CODE(kin_tls_facts(&pair.client, &facts), 0);
    CHECK_INT(facts.version, 13);
    CHECK_HAS(facts.cipher, "TLS_");
    CHECK_STR(facts.host, "localhost");
    CHECK_STR(facts.peer, "CN=server");
    CHECK_STR(facts.verified, "ok");
    CHECK(!facts.alpn && !facts.reused);
    CHECK_CODE(kin_tls_facts(&pair.server, &facts), 0);
    CHECK_INT(facts.version, 13);
    CHECK_STR(facts.host, "localhost");
    CHECK(!facts.peer && !facts.verified && !facts.alpn);
    close_pair(&pair);
}

static void versions_of(int client_least, int server_least, int wanted)
{
    struct pair pair = { 0 };
    struct kin_tls_facts facts;

    CHECK_CODE(kin_tls_client_open(&pair.client_context, .ca_pem = pem(CA),
                                   .least = client_least), 0);
    CHECK_CODE(kin_tls_server_open(&pair.server_context, .certificate.pem = pem(SERVER),
                                   .least = server_least), 0);
    make_pair(&pair);
    CHECK_CODE(kin_tls_facts(&pair.client, &facts), 0);
    CHECK_INT(facts.version, wanted);
    close_pair(&pair);
}

TLS_TEST(the_best_version_that_both_speak_is_spoken)
{
    versions_of(0, 0, 13);
    versions_of(12, 13, 13);
    versions_of(13, 12, 13);
}

static void only_12(struct pair *pair)
{
    pair->client_context = client_context();
    SSL_CTX_set_max_proto_version(context_of(pair->client_context), TLS1_2_VERSION);
}

TLS_TEST(tls_12_is_spoken_with_whom_has_nothing_better)
{
    struct pair pair = { 0 };
    struct kin_tls_facts facts;

    only_12(&pair);
    make_pair(&pair);
    CHECK_CODE(kin_tls_facts(&pair.server, &facts), 0);
    CHECK_INT(facts.version, 12);
    CHECK_STR(facts.host, "localhost");
    say(&pair.client, &pair.server, "ping");
    say(&pair.server, &pair.client, "pong");
    CHECK_CODE(kin_stream_end(&pair.client), 0);
    expect_end(&pair.server);
    close_pair(&pair);
}

/* ------------------------------------------------------------------- names */

static void host_is_accepted(const char *host, const char *shown)
{
    struct pair pair = { .host = host };
    struct kin_tls_facts facts;

    tap_note("%s", host);
    make_pair(&pair);
    CHECK_CODE(kin_tls_facts(&pair.client, &facts), 0);
    CHECK_STR(facts.verified, "ok");
    CHECK_CODE(kin_tls_facts(&pair.server, &facts), 0);
    if (shown)
        CHECK_STR(facts.host, shown);
    else
        CHECK(!facts.host);
    close_pair(&pair);
}

TLS_TEST(names_wildcards_and_addresses_are_accepted)
{
    host_is_accepted("localhost", "localhost");
    host_is_accepted("LOCALHOST.", "LOCALHOST");
    host_is_accepted("www.example.org", "www.example.org");
    host_is_accepted("127.0.0.1", NULL);
}

static void shown_for(struct pair *pair, const char *host, const char *subject)
{
    struct kin_tls_facts facts;

    pair->host = host;
    make_pair(pair);
    CHECK_CODE(kin_tls_facts(&pair->client, &facts), 0);
    CHECK_STR(facts.peer, subject);
    say(&pair->client, &pair->server, "ping");
    CHECK_CODE(kin_stream_close(&pair->client), 0);
    CHECK_CODE(kin_stream_close(&pair->server), 0);
}

TLS_TEST(a_server_shows_the_certificate_that_is_for_the_name)
{
    const struct kin_tls_certificate more[] = {
        { .pem = pem(SECOND) }, { .pem = pem(CHAINED), .key_pem = key_of(CHAINED) }
    };
    struct pair pair = { 0 };

    CHECK_CODE(kin_tls_server_open(&pair.server_context, .certificate.pem = pem(SERVER),
                                   .more = more, .more_count = 2), 0);
    shown_for(&pair, "second.example.net", "CN=second");
    shown_for(&pair, "localhost", "CN=chained");        /* with its intermediate CA */
    shown_for(&pair, "127.0.0.1", "CN=server");         /* no name is asked for */
    connect_pair(&pair);
    close_pair(&pair);
}

TLS_TEST(certificates_are_taken_from_files)
{
    struct pair pair = { 0 };
    char key[128];
    FILE *file;

    snprintf(key, sizeof key, "%s", scratch("key.pem"));
    file = fopen(key, "w");
    CHECK(file && fputs(key_of(SERVER), file) >= 0 && fclose(file) == 0);
    CHECK_CODE(kin_tls_client_open(&pair.client_context, .ca_file = pem_file(CA)), 0);
    CHECK_CODE(kin_tls_server_open(&pair.server_context, .certificate.file = pem_file(SERVER),
                                   .certificate.key_file = key), 0);
    make_pair(&pair);
    close_pair(&pair);
}

TLS_TEST(cas_are_taken_from_a_directory_and_from_both)
{
    struct pair pair = { 0 };
    char command[400], hash[9];

    snprintf(hash, sizeof hash, "%08lx", hash_of(CA));
    snprintf(command, sizeof command, "mkdir %s && cp %s %s/%s.0", scratch("cas"), pem_file(CA),
             scratch("cas"), hash);
    CHECK_INT(system(command), 0);
    CHECK_CODE(kin_tls_client_open(&pair.client_context, .ca_dir = scratch("cas")), 0);
    make_pair(&pair);
    close_pair(&pair);
    pair = (struct pair){ 0 };
    CHECK_CODE(kin_tls_client_open(&pair.client_context, .ca_file = pem_file(OTHER_CA),
                                   .ca_pem = pem(CA)), 0);
    make_pair(&pair);
    close_pair(&pair);
}

TLS_TEST(the_systems_cas_are_the_default)
{
    struct pair pair = { 0 };

    CHECK_CODE(kin_tls_client_open(&pair.client_context), 0);
    connect_pair(&pair);
    CHECK_CODE(pair.client_code, KIN_ETLS_CERTIFICATE);
    close_pair(&pair);
    pair = (struct pair){ 0 };
    CHECK_INT(setenv("SSL_CERT_FILE", pem_file(CA), 1), 0);
    CHECK_CODE(kin_tls_client_open(&pair.client_context), 0);
    make_pair(&pair);
    close_pair(&pair);
}

TLS_TEST(a_long_rsa_key_fits_on_a_tasks_stack)
{
    struct pair pair = { 0 };

    CHECK_CODE(kin_tls_server_open(&pair.server_context, .certificate.pem = pem(RSA_SERVER)), 0);
    make_pair(&pair);
    close_pair(&pair);
}

TLS_TEST(insecure_accepts_anybody_and_says_so)
{
    struct pair pair = { .host = "wrong.example.com" };
    struct kin_tls_facts facts;

    CHECK_CODE(kin_tls_client_open(&pair.client_context, .insecure = true), 0);
    CHECK_CODE(kin_tls_server_open(&pair.server_context, .certificate.pem = pem(EXPIRED)), 0);
    make_pair(&pair);
    CHECK_CODE(kin_tls_facts(&pair.client, &facts), 0);
    CHECK(facts.verified && strcmp(facts.verified, "ok") != 0);
    CHECK_CODE(kin_tls_facts(&pair.server, &facts), 0);
    CHECK_STR(facts.host, "wrong.example.com");
    close_pair(&pair);
}

TLS_TEST(facts_are_of_tls_streams_only)
{
    struct kin_tls_facts facts;
    kin_stream plain;

    kin_stream_open(&plain, 0, .keep_open = true);
    CHECK_CODE(kin_tls_facts(&plain, &facts), KIN_EINVAL);
    CHECK(kin_tls_session_get(&plain) == NULL);
    CHECK_CODE(kin_stream_close(&plain), 0);
    CHECK_CODE(kin_tls_facts(&plain, &facts), KIN_EINVAL);
    CHECK(kin_tls_session_get(&plain) == NULL);
}

/* --------------------------------------------------------------------- ALPN */

static void protocols(const char *const *client, const char *const *server, const char *wanted)
{
    struct pair pair = { 0 };
    struct kin_tls_facts facts;

    CHECK_CODE(kin_tls_client_open(&pair.client_context, .ca_pem = pem(CA), .alpn = client), 0);
    CHECK_CODE(kin_tls_server_open(&pair.server_context, .certificate.pem = pem(SERVER),
                                   .alpn = server), 0);
    make_pair(&pair);
    for (int i = 0; i < 2; i++) {
        CHECK_CODE(kin_tls_facts(i ? &pair.client : &pair.server, &facts), 0);
        if (wanted)
            CHECK_STR(facts.alpn, wanted);
        else
            CHECK(!facts.alpn);
    }
    close_pair(&pair);
}

TLS_TEST(alpn_takes_the_servers_first_choice)
{
    const char *const new_first[] = { "h2", "http/1.1", NULL };
    const char *const old_first[] = { "http/1.1", "h2", NULL };
    const char *const old[] = { "http/1.1", NULL };

    protocols(new_first, new_first, "h2");
    protocols(new_first, old_first, "http/1.1");
    protocols(new_first, old, "http/1.1");
    protocols(old, new_first, "http/1.1");
    protocols(NULL, new_first, NULL);
    protocols(new_first, NULL, NULL);
}

TLS_TEST(alpn_without_a_common_protocol_is_refused)
{
    struct pair pair = { 0 };

    CHECK_CODE(kin_tls_client_open(&pair.client_context, .ca_pem = pem(CA),
                                   .alpn = (const char *const[]){ "a", NULL }), 0);
    CHECK_CODE(kin_tls_server_open(&pair.server_context, .certificate.pem = pem(SERVER),
                                   .alpn = (const char *const[]){ "b", NULL }), 0);
    connect_pair(&pair);
    CHECK_CODE(pair.client_code, KIN_ETLS_REFUSED);
    CHECK_HAS(pair.client_why, "no application protocol");
    CHECK_CODE(pair.server_code, KIN_ETLS_HANDSHAKE);
    close_pair(&pair);
}

/* ------------------------------------------------------ clients' certificates */

static void client_shows(struct pair *pair, enum identity *who, kin_tls_clients clients)
{
    struct kin_tls_options options = { .at = KIN_HERE, .ca_pem = pem(CA) };

    *pair = (struct pair){ 0 };
    if (who)
        options.certificate.pem = pem(*who);
    CHECK_CODE(kin_tls_client_open_with(&pair->client_context, &options), 0);
    CHECK_CODE(kin_tls_server_open(&pair->server_context, .certificate.pem = pem(SERVER),
                                   .clients = clients, .ca_pem = pem(CA)), 0);
    connect_pair(pair);
}

TLS_TEST(a_client_shows_its_certificate)
{
    enum identity alice = CLIENT;
    struct kin_tls_facts facts;
    struct pair pair;

    client_shows(&pair, &alice, KIN_TLS_CLIENTS_KNOWN);
    CHECK_CODE(pair.server_code, 0);
    CHECK_CODE(kin_tls_facts(&pair.server, &facts), 0);
    CHECK_STR(facts.peer, "CN=alice");
    CHECK_STR(facts.verified, "ok");
    close_pair(&pair);
    client_shows(&pair, &alice, KIN_TLS_CLIENTS_ASKED);
    CHECK_CODE(kin_tls_facts(&pair.server, &facts), 0);
    CHECK_STR(facts.peer, "CN=alice");
    close_pair(&pair);
}

TLS_TEST(a_client_without_certificate_may_be_welcome)
{
    struct kin_tls_facts facts;
    struct pair pair;

    client_shows(&pair, NULL, KIN_TLS_CLIENTS_ASKED);
    CHECK_CODE(pair.server_code, 0);
    CHECK_CODE(kin_tls_facts(&pair.server, &facts), 0);
    CHECK(!facts.peer && !facts.verified);
    say(&pair.client, &pair.server, "ping");
    close_pair(&pair);
}

/* With TLS 1.3 the client has done its part before it can know. */
TLS_TEST(a_client_that_is_not_known_is_told_when_it_reads)
{
    enum identity forged = FORGED;
    struct pair pair;
    char c;

    client_shows(&pair, NULL, KIN_TLS_CLIENTS_KNOWN);
    CHECK_CODE(pair.server_code, KIN_ETLS_CERTIFICATE);
    CHECK_HAS(pair.server_why, "peer did not return a certificate");
    CHECK_CODE(pair.client_code, 0);
    CHECK_CODE(kin_stream_read(&pair.client, &c, 1), KIN_ETLS_REFUSED);
    CHECK_HAS(kin_error_last()->message, "alert certificate required");
    CHECK_CODE(kin_stream_read(&pair.client, &c, 1), KIN_ETLS_REFUSED);
    close_pair(&pair);
    client_shows(&pair, &forged, KIN_TLS_CLIENTS_ASKED);
    CHECK_CODE(pair.server_code, KIN_ETLS_CERTIFICATE);
    CHECK_HAS(pair.server_why, "unable to get local issuer certificate");
    CHECK_CODE(kin_stream_read(&pair.client, &c, 1), KIN_ETLS_REFUSED);
    close_pair(&pair);
}

/* ------------------------------------------------------------------ sessions */

/* Another connection with the session of the one before; what the client then thinks. */
static bool comes_back(struct pair *pair, const kin_tls_session *session, bool more)
{
    struct kin_tls_facts client, server;

    pair->session = session;
    make_pair(pair);
    say(&pair->server, &pair->client, "tickets come before this");
    CHECK_CODE(kin_tls_facts(&pair->client, &client), 0);
    CHECK_CODE(kin_tls_facts(&pair->server, &server), 0);
    CHECK(client.reused == server.reused);
    CHECK_STR(client.verified, "ok");
    CHECK_STR(client.peer, "CN=server");
    if (more) {
        CHECK_CODE(kin_stream_close(&pair->client), 0);
        CHECK_CODE(kin_stream_close(&pair->server), 0);
    }
    return client.reused;
}

static void come_back(struct pair *pair, bool twice)
{
    kin_tls_session *first, *second;

    CHECK(!comes_back(pair, NULL, false));
    first = kin_tls_session_get(&pair->client);
    CHECK(first != NULL);
    CHECK_CODE(kin_stream_close(&pair->client), 0);     /* as a client in a hurry does it */
    CHECK_CODE(kin_stream_close(&pair->server), 0);
    CHECK(comes_back(pair, first, false));
    second = kin_tls_session_get(&pair->client);
    CHECK(second != NULL);
    CHECK_CODE(kin_stream_close(&pair->client), 0);
    CHECK_CODE(kin_stream_close(&pair->server), 0);
    CHECK(comes_back(pair, second, true));
    CHECK_INT(comes_back(pair, first, false), twice);
    close_pair(pair);
    kin_tls_session_free(first);
    kin_tls_session_free(second);
}

TLS_TEST(a_session_spares_the_next_handshake_its_certificates)
{
    struct pair pair = { 0 };

    come_back(&pair, false);
}

TLS_TEST(a_session_of_tls_12_does_too)
{
    struct pair pair = { 0 };

    only_12(&pair);
    come_back(&pair, true);
}

/* What has been verified for one name says nothing about another. */
TLS_TEST(a_session_is_for_one_host_and_context_only)
{
    struct pair pair = { 0 };
    kin_tls_session *session;

    comes_back(&pair, NULL, false);
    session = kin_tls_session_get(&pair.client);
    CHECK(session != NULL);
    CHECK_CODE(kin_stream_close(&pair.client), 0);
    CHECK_CODE(kin_stream_close(&pair.server), 0);
    pair.host = "www.example.org";
    CHECK(!comes_back(&pair, session, true));
    pair.host = "localhost";
    kin_tls_context_free(pair.client_context);
    pair.client_context = client_context();
    CHECK(!comes_back(&pair, session, false));
    close_pair(&pair);
    kin_tls_session_free(session);
}

TLS_TEST(a_session_of_an_insecure_context_makes_nobody_trusted)
{
    struct pair pair = { 0 };
    kin_tls_session *session;

    CHECK_CODE(kin_tls_client_open(&pair.client_context, .insecure = true), 0);
    CHECK_CODE(kin_tls_server_open(&pair.server_context, .certificate.pem = pem(FORGED)), 0);
    make_pair(&pair);
    say(&pair.server, &pair.client, "tickets come before this");
    session = kin_tls_session_get(&pair.client);
    CHECK(session != NULL);
    CHECK_CODE(kin_stream_close(&pair.client), 0);
    CHECK_CODE(kin_stream_close(&pair.server), 0);
    kin_tls_context_free(pair.client_context);
    pair.client_context = client_context();
    pair.session = session;
    connect_pair(&pair);
    CHECK_CODE(pair.client_code, KIN_ETLS_CERTIFICATE);
    close_pair(&pair);
    kin_tls_session_free(session);
}

TLS_TEST(a_server_that_has_started_anew_knows_no_sessions_and_no_harm_is_done)
{
    struct pair pair = { 0 };
    kin_tls_session *session;

    comes_back(&pair, NULL, false);
    session = kin_tls_session_get(&pair.client);
    CHECK_CODE(kin_stream_close(&pair.client), 0);
    CHECK_CODE(kin_stream_close(&pair.server), 0);
    kin_tls_context_free(pair.server_context);
    pair.server_context = server_context();
    CHECK(!comes_back(&pair, session, false));
    close_pair(&pair);
    kin_tls_session_free(session);
}

TLS_TEST(a_known_client_comes_back_known)
{
    enum identity alice = CLIENT;
    struct kin_tls_facts facts;
    kin_tls_session *session;
    struct pair pair;

    client_shows(&pair, &alice, KIN_TLS_CLIENTS_KNOWN);
    say(&pair.server, &pair.client, "tickets come before this");
    session = kin_tls_session_get(&pair.client);
    CHECK_CODE(kin_stream_close(&pair.client), 0);
    CHECK_CODE(kin_stream_close(&pair.server), 0);
    CHECK(comes_back(&pair, session, false));
    CHECK_CODE(kin_tls_facts(&pair.server, &facts), 0);
    CHECK_STR(facts.peer, "CN=alice");
    CHECK_STR(facts.verified, "ok");
    close_pair(&pair);
    kin_tls_session_free(session);
}

/* --------------------------------------------------------------- ownership */

TLS_TEST(a_context_may_be_freed_before_its_connections_and_sessions)
{
    struct pair pair = { 0 };
    kin_tls_session *session;

    make_pair(&pair);
    kin_tls_context_free(pair.client_context);
    kin_tls_context_free(pair.server_context);
    pair.client_context = pair.server_context = NULL;
    say(&pair.server, &pair.client, "still here");
    session = kin_tls_session_get(&pair.client);
    CHECK(session != NULL);
    close_pair(&pair);
    kin_tls_session_free(session);
    kin_tls_session_free(NULL);
    kin_tls_context_free(NULL);
}

TLS_TEST(a_context_serves_many_connections_at_once)
{
    enum { MANY = 20 };
    struct pair pair[MANY] = { { 0 } };

    for (int i = 0; i < MANY; i++) {
        if (i > 0) {
            pair[i].client_context = pair[0].client_context;
            pair[i].server_context = pair[0].server_context;
        }
        make_pair(&pair[i]);
    }
    for (int i = 0; i < MANY; i++)
        say(&pair[i].client, &pair[i].server, "ping");
    for (int i = 1; i < MANY; i++) {
        CHECK_CODE(kin_stream_close(&pair[i].client), 0);
        CHECK_CODE(kin_stream_close(&pair[i].server), 0);
    }
    close_pair(&pair[0]);
}

TLS_TEST(unix_sockets_carry_tls_too)
{
    struct pair pair = { 0 };

    make_unix_pair(&pair);
    say(&pair.client, &pair.server, "ping");
    close_pair(&pair);
}
