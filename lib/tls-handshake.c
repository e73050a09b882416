/* SPDX-License-Identifier: Apache-2.0 */
/* From a plain connection to an encrypted one. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tls.h"

/* Milliseconds for a client to read why its handshake failed. */
#define LINGER 500

/* RFC 6066, section 3: "Literal IPv4 and IPv6 addresses are not permitted". */
static bool is_address(const char *host)
{
	struct in6_addr address;

	return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static int set_identity(gnutls_session_t session, const struct tls_credentials *credentials)
{
	if (credentials->client_psk)
		return gnutls_credentials_set(session, GNUTLS_CRD_PSK, credentials->client_psk);
	if (credentials->server_psk)
		return gnutls_credentials_set(session, GNUTLS_CRD_PSK, credentials->server_psk);
	return gnutls_credentials_set(
		session, GNUTLS_CRD_CERTIFICATE, credentials->certificates);
}

static void set_expectations(
	gnutls_session_t session, const struct tls_credentials *credentials)
{
	const char *hostname = credentials->hostname;

	/* One that cannot be said so is compared with the certificate all the same. */
	if (hostname && !is_address(hostname))
		gnutls_server_name_set(session, GNUTLS_NAME_DNS, hostname, strlen(hostname));
	if (!credentials->verify_peer)
		return;
	gnutls_session_set_verify_cert2(session, (gnutls_typed_vdata_st *)credentials->demands,
		credentials->demand_count, 0);
	if (credentials->server)
		gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
}

/* Tickets are for those who come again soon: here they would only be in the way. */
static int new_session(const struct tls_credentials *credentials, gnutls_session_t *session)
{
	unsigned int side = credentials->server ? GNUTLS_SERVER : GNUTLS_CLIENT;
	int code = gnutls_init(session, side | GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS);

	if (code)
		return code;
	code = gnutls_priority_set(*session, credentials->priority);
	if (!code)
		code = set_identity(*session, credentials);
	if (code) {
		gnutls_deinit(*session);
		return code;
	}
	gnutls_session_set_ptr(*session, (void *)(uintptr_t)credentials);
	set_expectations(*session, credentials);
	return 0;
}

static int flush_all(struct tls_transport *tls, int wake, deadline_t deadline)
{
	int result;

	while ((result = tls_flush(tls)) == -EAGAIN) {
		result = transport_wait(&tls->transport, POLLOUT, wake, deadline);
		if (result)
			return result;
	}
	return result;
}

/* 0, or a negative errno; *CODE is the error of GnuTLS behind it, or 0. */
static int shake_hands(struct tls_transport *tls, int wake, deadline_t deadline, int *code)
{
	for (;;) {
		tls->dry = false;
		*code = gnutls_handshake(tls->session);
		if (*code && gnutls_error_is_fatal(*code))
			return tls_fail(tls, *code);
		int result = flush_all(tls, wake, deadline);
		if (result || !*code)
			return result;
		/* One that never makes us wait must not go on for ever either. */
		if (!deadline_left(deadline))
			return -ETIMEDOUT;
		if (tls->dry)
			result = transport_wait(&tls->transport, POLLIN, wake, deadline);
		if (result)
			return result;
	}
}

/*
 * A client may be sending its first option while we find fault with it; a socket that is closed
 * before that is read would make it fail to send, without ever reading our reason.
 */
static void linger(struct tls_transport *tls, int wake)
{
	deadline_t deadline = deadline_after(LINGER);

	shutdown(tls->transport.fd, SHUT_WR);
	while (deadline_left(deadline)
		&& !transport_wait(&tls->transport, POLLIN, wake, deadline)
		&& recv(tls->transport.fd, tls->input, sizeof(tls->input), MSG_DONTWAIT) > 0)
		;
}

/* What a person can do about a certificate, as the end of a sentence. */
static const char *certificate_remedy(unsigned int status)
{
	if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA))
		return "(ca-cert.pem in the folder of certificates must be its issuer's)";
	if (status & GNUTLS_CERT_EXPIRED)
		return "(it has to be renewed)";
	if (status & GNUTLS_CERT_NOT_ACTIVATED)
		return "(is the clock right?)";
	if (status & GNUTLS_CERT_PURPOSE_MISMATCH)
		return "(it was made for another role than that of its owner)";
	return "";
}

static int explain_certificate(const struct tls_transport *tls,
	const struct tls_credentials *credentials, const char *peer, struct nbdt_error *err)
{
	unsigned int status = gnutls_session_get_verify_cert_status(tls->session);
	gnutls_datum_t text = { 0 };
	char expected[200] = "";

	gnutls_certificate_verification_status_print(
		status, gnutls_certificate_type_get(tls->session), &text, 0);
	if (status & GNUTLS_CERT_UNEXPECTED_OWNER && credentials->hostname)
		snprintf(expected, sizeof(expected),
			"(it must be that of '%.100s', unless another host name is given)",
			credentials->hostname);
	nbdt_error_set(err, -EKEYREJECTED, "TLS with %.100s failed: %s%s", peer,
		text.data ? (char *)text.data : "",
		*expected ? expected : certificate_remedy(status));
	gnutls_free(text.data);
	return -EKEYREJECTED;
}

/* Refusals are terse on purpose, to help no stranger. */
static const char *refusal_remedy(const struct tls_credentials *credentials)
{
	if (credentials->client_psk)
		return " (has it pre-shared keys, and for this user the same?)";
	if (credentials->server)
		return "";
	return " (does it want a client certificate, or a pre-shared key?)";
}

static int explain(const struct tls_transport *tls, const struct tls_credentials *credentials,
	const char *peer, int result, int code, struct nbdt_error *err)
{
	if (code == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
		return explain_certificate(tls, credentials, peer, err);
	switch (result) {
	case -EINTR:
		return result;
	case -ETIMEDOUT:
		return nbdt_error_set(err, result,
			"TLS with %.200s failed: its handshake was not done in time", peer);
	case -EPIPE:
	case -ECONNRESET:
		return nbdt_error_set(err, -ECONNRESET,
			"TLS with %.200s failed: it hung up in the handshake%s", peer,
			refusal_remedy(credentials));
	case -EREMOTEIO:
		return nbdt_error_set(err, result, "TLS with %.200s failed: it says: %s%s", peer,
			tls->transport.reason, refusal_remedy(credentials));
	default:
		break;
	}
	if (tls->transport.reason)
		return nbdt_error_set(err, result, "TLS with %.200s failed: %s%s", peer,
			tls->transport.reason,
			code == GNUTLS_E_INSUFFICIENT_CREDENTIALS ? refusal_remedy(credentials)
								  : "");
	return nbdt_error_errno(err, result, "TLS with %.200s failed", peer);
}

int tls_start(struct transport **transport, const struct tls_credentials *credentials,
	const char *peer, int wake, deadline_t deadline, struct nbdt_error *err)
{
	gnutls_session_t session;
	int code = new_session(credentials, &session);

	if (code)
		return nbdt_error_set(err, code == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL,
			"cannot begin TLS: %s", gnutls_strerror(code));
	struct tls_transport *tls = transport_tls((*transport)->fd, session);
	transport_release(*transport);
	if (!tls)
		return nbdt_error_errno(err, -ENOMEM, "cannot begin TLS");
	transport_close(*transport);
	*transport = &tls->transport;
	int result = shake_hands(tls, wake, deadline, &code);
	if (!result)
		return 0;
	if (credentials->server && tls->failure)
		linger(tls, wake);
	/* So that no goodbye is said in a session that does not exist. */
	tls->failure = result;
	return explain(tls, credentials, peer, result, code, err);
}
