/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "nbd-protocol.h"
#include "tls-peer.h"
#include "wire.h"

#define PATIENCE 10 /* seconds that a peer waits for us */
/* Of what GnuTLS interrupts: for records that are not for us, and once the peer's patience ends. */
#define TRIES 4
#define NAMES 64

static char folder[64];
static char paths[NAMES][128];
static pthread_mutex_t paths_lock = PTHREAD_MUTEX_INITIALIZER;

static int run_on_folder(const char *command, const char *argument)
{
	char line[128];

	snprintf(line, sizeof(line), "%s %s %s", command, folder, argument);
	return system(line);
}

static int make_files(const char *which)
{
	memset(paths, 0, sizeof(paths));
	snprintf(folder, sizeof(folder), "/tmp/nbdt-tls-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	return run_on_folder("tests/make-tls-files", which);
}

int tls_files_set_up(void **state)
{
	(void)state;
	return make_files("");
}

int tls_keys_set_up(void **state)
{
	(void)state;
	return make_files("keys");
}

int tls_files_tear_down(void **state)
{
	(void)state;
	return run_on_folder("rm -r", "");
}

/* The tests and their peers ask. */
const char *tls_file(const char *name)
{
	size_t i = 0;

	pthread_mutex_lock(&paths_lock);
	while (*paths[i] && strcmp(strrchr(paths[i], '/') + 1, name) != 0)
		i++;
	snprintf(paths[i], sizeof(paths[i]), "%s/%s", folder, name);
	pthread_mutex_unlock(&paths_lock);
	return paths[i];
}

static void load(gnutls_certificate_credentials_t credentials, const struct tls_peer *peer)
{
	const char *role = peer->server ? "server" : "client";
	char certificate[160], key[160], ca[160];

	snprintf(certificate, sizeof(certificate), "%s/%s-cert.pem", tls_file(peer->folder), role);
	snprintf(key, sizeof(key), "%s/%s-key.pem", tls_file(peer->folder), role);
	snprintf(ca, sizeof(ca), "%s/ca-cert.pem", tls_file("good"));
	gnutls_certificate_set_x509_trust_file(credentials, ca, GNUTLS_X509_FMT_PEM);
	if (!access(certificate, F_OK))
		gnutls_certificate_set_x509_key_file(
			credentials, certificate, key, GNUTLS_X509_FMT_PEM);
}

/* Of the client's only user with that name. */
static void load_client_key(
	gnutls_psk_client_credentials_t credentials, const struct tls_peer *peer)
{
	FILE *file = fopen(tls_file(peer->keys), "r");
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':');
		size_t length = (size_t)(colon - line);

		if (strlen(peer->user) != length || memcmp(line, peer->user, length) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		gnutls_datum_t key = { (unsigned char *)colon + 1,
			(unsigned int)strlen(colon + 1) };
		gnutls_psk_set_client_credentials(
			credentials, peer->user, &key, GNUTLS_PSK_KEY_HEX);
	}
	if (file)
		fclose(file);
}

struct tls_peer_identity {
	gnutls_certificate_credentials_t certificates;
	gnutls_psk_client_credentials_t client;
	gnutls_psk_server_credentials_t server;
};

static void make_identity(struct tls_peer_identity *identity, const struct tls_peer *peer)
{
	gnutls_certificate_allocate_credentials(&identity->certificates);
	gnutls_psk_allocate_client_credentials(&identity->client);
	gnutls_psk_allocate_server_credentials(&identity->server);
	if (peer->folder)
		load(identity->certificates, peer);
	if (peer->keys && peer->server)
		gnutls_psk_set_server_credentials_file(identity->server, tls_file(peer->keys));
	else if (peer->keys)
		load_client_key(identity->client, peer);
}

static void free_identity(struct tls_peer_identity *identity)
{
	gnutls_certificate_free_credentials(identity->certificates);
	gnutls_psk_free_client_credentials(identity->client);
	gnutls_psk_free_server_credentials(identity->server);
	free(identity);
}

static gnutls_session_t new_session(
	const struct tls_peer *peer, const struct tls_peer_identity *identity)
{
	gnutls_session_t session;
	const char *priority = peer->priority;

	if (!priority)
		priority = peer->keys ? "NORMAL:+ECDHE-PSK:+DHE-PSK:+PSK" : "NORMAL";
	gnutls_init(&session, (peer->server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NO_SIGNAL);
	gnutls_priority_set_direct(session, priority, NULL);
	if (peer->folder)
		gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, identity->certificates);
	if (peer->keys && peer->server)
		gnutls_credentials_set(session, GNUTLS_CRD_PSK, identity->server);
	else if (peer->keys)
		gnutls_credentials_set(session, GNUTLS_CRD_PSK, identity->client);
	if (peer->ask_certificate) {
		gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
		gnutls_session_set_verify_cert(session, NULL, 0);
	}
	gnutls_transport_set_int(session, peer->fd);
	return session;
}

int tls_peer_begin(struct tls_peer *peer, int fd)
{
	peer->fd = fd;
	peer->identity = calloc(1, sizeof(*peer->identity));
	make_identity(peer->identity, peer);
	peer->session = new_session(peer, peer->identity);
	for (int tries = 0; tries < TRIES; tries++) {
		peer->result = gnutls_handshake(peer->session);
		if (!peer->result || gnutls_error_is_fatal(peer->result))
			break;
	}
	return peer->result;
}

void tls_peer_end(struct tls_peer *peer)
{
	gnutls_deinit(peer->session);
	free_identity(peer->identity);
}

static void fail_handshake(struct tls_peer *peer)
{
	char bytes[256];
	ssize_t got;

	gnutls_alert_send_appropriate(peer->session, peer->result);
	shutdown(peer->fd, SHUT_WR);
	while ((got = recv(peer->fd, bytes, sizeof(bytes), 0)) > 0)
		peer->leftovers += (size_t)got;
}

static void *play(void *arg)
{
	struct tls_peer *peer = arg;

	if (peer->before)
		peer->before(peer->fd);
	if (tls_peer_begin(peer, peer->fd))
		fail_handshake(peer);
	else if (peer->play)
		peer->play(peer->session, peer->fd, peer->arg);
	tls_peer_end(peer);
	shutdown(peer->fd, SHUT_RDWR);
	return NULL;
}

void tls_peer_start(struct tls_peer *peer, int *socket)
{
	const struct timeval limit = { .tv_sec = PATIENCE };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(pair[1], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	peer->fd = pair[1];
	*socket = pair[0];
	assert_int_equal(pthread_create(&peer->thread, NULL, play, peer), 0);
}

int tls_peer_finish(struct tls_peer *peer)
{
	pthread_join(peer->thread, NULL);
	close(peer->fd);
	return peer->result;
}

static void receive(int fd, void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t got = recv(fd, (char *)bytes + done, size - done, 0);
		if (got <= 0)
			return;
		done += (size_t)got;
	}
}

void agree_on_tls(int fd)
{
	struct nbd_option_reply_header reply = { 0 };
	unsigned char greeting[18], answer[4 + sizeof(struct nbd_option_header)];

	wire_put64(greeting, NBD_MAGIC);
	wire_put64(greeting + 8, NBD_OPTS_MAGIC);
	wire_put16(greeting + 16, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	send(fd, greeting, sizeof(greeting), MSG_NOSIGNAL);
	receive(fd, answer, sizeof(answer));
	wire_put64(&reply.magic, NBD_OPT_REPLY_MAGIC);
	wire_put32(&reply.option, NBD_OPT_STARTTLS);
	wire_put32(&reply.reply, NBD_REP_ACK);
	send(fd, &reply, sizeof(reply), MSG_NOSIGNAL);
}

bool tls_say(gnutls_session_t session, const void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t sent = gnutls_record_send(
			session, (const char *)bytes + done, size - done);
		if (sent <= 0)
			return false;
		done += (size_t)sent;
	}
	return true;
}

bool tls_hear(gnutls_session_t session, void *bytes, size_t size)
{
	size_t done = 0;

	for (int tries = 0; done < size && tries < TRIES;) {
		ssize_t got = gnutls_record_recv(session, (char *)bytes + done, size - done);
		if (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED)
			tries++;
		else if (got <= 0)
			return false;
		else
			done += (size_t)got;
	}
	return done == size;
}

void tls_leave(gnutls_session_t session)
{
	gnutls_bye(session, GNUTLS_SHUT_WR);
}
