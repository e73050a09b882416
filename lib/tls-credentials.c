/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "tls.h"

/*
 * What is added to the system's own policy: "NBD implementations SHOULD NOT" support versions
 * before 1.2 by default ("TLS versions"). With pre-shared keys nothing else may prove the peer's
 * identity, or anybody's certificate would.
 */
#define VERSIONS "-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define PSK_ONLY "-KX-ALL:+ECDHE-PSK:+DHE-PSK"

static int check_options(
	bool server, const struct nbdt_tls_options *options, struct nbdt_error *err)
{
	if (options->psk_file && options->certificates)
		return nbdt_error_set(err, -EINVAL,
			"TLS is by certificates or by pre-shared keys, not by both");
	if (options->psk_file)
		return 0;
	if (server && !options->certificates)
		return nbdt_error_set(err, -EINVAL,
			"TLS needs a folder of certificates or a file of pre-shared keys");
	if (!server && options->verify_peer && !options->hostname)
		return nbdt_error_set(err, -EINVAL,
			"the server's certificate can only be checked if its host name is known");
	return 0;
}

static int read_all(struct tls_credentials *credentials, const struct nbdt_tls_options *options,
	struct nbdt_error *err)
{
	const char *policy = options->psk_file ? VERSIONS ":" PSK_ONLY : VERSIONS;
	int code = gnutls_priority_init2(
		&credentials->priority, policy, NULL, GNUTLS_PRIORITY_INIT_DEF_APPEND);

	if (code)
		return nbdt_error_set(err, code == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL,
			"the system's policy leaves nothing of TLS: %s", gnutls_strerror(code));
	if (options->psk_file)
		return tls_read_keys(credentials, options, err);
	return tls_read_certificates(credentials, options, err);
}

int tls_credentials_new(bool server, const struct nbdt_tls_options *options,
	struct tls_credentials **credentials, struct nbdt_error *err)
{
	int result = check_options(server, options, err);

	if (result)
		return result;
	struct tls_credentials *new = calloc(1, sizeof(*new));
	if (!new)
		return nbdt_error_errno(err, -ENOMEM, "cannot prepare TLS");
	new->server = server;
	result = read_all(new, options, err);
	if (result)
		tls_credentials_free(new);
	else
		*credentials = new;
	return result;
}

void tls_credentials_free(struct tls_credentials *credentials)
{
	if (!credentials)
		return;
	if (credentials->certificates)
		gnutls_certificate_free_credentials(credentials->certificates);
	if (credentials->client_psk)
		gnutls_psk_free_client_credentials(credentials->client_psk);
	if (credentials->server_psk)
		gnutls_psk_free_server_credentials(credentials->server_psk);
	if (credentials->priority)
		gnutls_priority_deinit(credentials->priority);
	tls_file_free(&credentials->keys);
	free(credentials->hostname);
	free(credentials);
}
