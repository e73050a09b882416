/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X.509: a folder with ca-cert.pem, ca-crl.pem, and the certificate and key of a client or a
 * server, named as libnbd, nbdkit and QEMU have them.
 */
#include <errno.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "tls.h"

static bool has_file(const char *folder, const char *name)
{
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return true;
	/* One that cannot be looked at is there as well: reading it tells why not. */
	return !access(path, F_OK) || errno != ENOENT;
}

/* What a code of GnuTLS means, negative if it is an error, after something was made of a file. */
static int check_code(int code, const char *folder, const char *name, struct nbdt_error *err)
{
	if (code >= 0)
		return 0;
	return nbdt_error_set(err, code == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL,
		"%.250s/%s: %s", folder, name, gnutls_strerror(code));
}

static int read_file(const char *folder, const char *name, gnutls_datum_t *file,
	struct nbdt_error *err)
{
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return nbdt_error_errno(err, -ENOMEM, "cannot read %s", name);
	return tls_file_read(path, file, err);
}

static int read_ca(
	gnutls_certificate_credentials_t certificates, const char *folder, struct nbdt_error *err)
{
	static const char name[] = "ca-cert.pem";
	gnutls_datum_t file = { 0 };
	int result = read_file(folder, name, &file, err);

	if (result)
		return result;
	int code = gnutls_certificate_set_x509_trust_mem(
		certificates, &file, GNUTLS_X509_FMT_PEM);
	tls_file_free(&file);
	return check_code(code ? code : GNUTLS_E_NO_CERTIFICATE_FOUND, folder, name, err);
}

static int read_revocations(
	gnutls_certificate_credentials_t certificates, const char *folder, struct nbdt_error *err)
{
	static const char name[] = "ca-crl.pem";
	gnutls_datum_t file = { 0 };

	if (!has_file(folder, name))
		return 0;
	int result = read_file(folder, name, &file, err);
	if (result)
		return result;
	int code = gnutls_certificate_set_x509_crl_mem(certificates, &file, GNUTLS_X509_FMT_PEM);
	tls_file_free(&file);
	return check_code(code, folder, name, err);
}

static int read_identity(gnutls_certificate_credentials_t certificates, const char *folder,
	const char *certificate_name, const char *key_name, struct nbdt_error *err)
{
	gnutls_datum_t certificate = { 0 }, key = { 0 };
	int result = read_file(folder, certificate_name, &certificate, err);

	if (!result)
		result = read_file(folder, key_name, &key, err);
	if (!result) {
		int code = gnutls_certificate_set_x509_key_mem(
			certificates, &certificate, &key, GNUTLS_X509_FMT_PEM);
		result = check_code(code, folder, certificate_name, err);
	}
	tls_file_free(&certificate);
	tls_file_free(&key);
	return result;
}

/* A client may go without a certificate of its own, but not with half of one. */
static int read_client_folder(gnutls_certificate_credentials_t certificates, const char *folder,
	bool verify_peer, struct nbdt_error *err)
{
	static const char certificate[] = "client-cert.pem", key[] = "client-key.pem";
	int result = 0;

	if (verify_peer)
		result = read_ca(certificates, folder, err);
	if (!result && verify_peer)
		result = read_revocations(certificates, folder, err);
	if (!result && (has_file(folder, certificate) || has_file(folder, key)))
		result = read_identity(certificates, folder, certificate, key, err);
	return result;
}

static int read_server_folder(gnutls_certificate_credentials_t certificates, const char *folder,
	bool verify_peer, struct nbdt_error *err)
{
	int result = read_identity(
		certificates, folder, "server-cert.pem", "server-key.pem", err);

	if (!result && verify_peer)
		result = read_ca(certificates, folder, err);
	if (!result && verify_peer)
		result = read_revocations(certificates, folder, err);
	return result;
}

/* Where libnbd looks too; for free(). NULL: none of them exists. */
static char *usual_folder(void)
{
	static const char *const folders[] = { "/.pki/libnbd", "/.config/pki/libnbd" };
	const char *home = secure_getenv("HOME");
	char *folder = NULL;

	if (!geteuid())
		return access("/etc/pki/libnbd", F_OK) ? NULL : strdup("/etc/pki/libnbd");
	for (size_t i = 0; home && i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (asprintf(&folder, "%s%s", home, folders[i]) < 0)
			return NULL;
		if (!access(folder, F_OK))
			return folder;
		free(folder);
	}
	return NULL;
}

static int trust_system(gnutls_certificate_credentials_t certificates, struct nbdt_error *err)
{
	int count = gnutls_certificate_set_x509_system_trust(certificates);

	if (count > 0)
		return 0;
	return nbdt_error_set(err, -ENOENT,
		"this system has no CA certificates (%s): name a folder with ca-cert.pem",
		count ? gnutls_strerror(count) : "none found");
}

static int read_client(struct tls_credentials *credentials, const char *folder,
	struct nbdt_error *err)
{
	CLEANUP_FREE char *usual = folder ? NULL : usual_folder();

	if (!folder)
		folder = usual;
	if (folder)
		return read_client_folder(
			credentials->certificates, folder, credentials->verify_peer, err);
	return credentials->verify_peer ? trust_system(credentials->certificates, err) : 0;
}

/* A certificate that was made for the other role is none for this one (extended key usage). */
static int set_demands(struct tls_credentials *credentials, const char *hostname)
{
	const char *purpose =
		credentials->server ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER;
	gnutls_typed_vdata_st *demand = credentials->demands;

	*demand++ = (gnutls_typed_vdata_st){
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)(uintptr_t)purpose,
	};
	if (!credentials->server) {
		credentials->hostname = strdup(hostname);
		*demand++ = (gnutls_typed_vdata_st){
			.type = GNUTLS_DT_DNS_HOSTNAME,
			.data = (unsigned char *)credentials->hostname,
		};
	}
	credentials->demand_count = (unsigned int)(demand - credentials->demands);
	return credentials->server || credentials->hostname ? 0 : -ENOMEM;
}

int tls_read_certificates(struct tls_credentials *credentials,
	const struct nbdt_tls_options *options, struct nbdt_error *err)
{
	const char *folder = options->certificates;

	credentials->verify_peer = options->verify_peer;
	if (gnutls_certificate_allocate_credentials(&credentials->certificates)
		|| set_demands(credentials, options->hostname ? options->hostname : ""))
		return nbdt_error_errno(err, -ENOMEM, "cannot use certificates");
	if (!credentials->server)
		return read_client(credentials, folder, err);
	return read_server_folder(credentials->certificates, folder, options->verify_peer, err);
}
