/* SPDX-License-Identifier: Apache-2.0 */
#include "tls-options.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static enum command_status set_mode(struct tls_options *tls)
{
	tls->off = !strcmp(optarg, "off");
	if (tls->off)
		return STATUS_DONE;
	tls->required = true;
	if (!strcmp(optarg, "require"))
		return STATUS_DONE;
	return usage_error("--tls: neither require nor off: %s", optarg);
}

static enum command_status set_verification(struct tls_options *tls)
{
	tls->required = true;
	tls->verify_off = !strcmp(optarg, "off");
	if (tls->verify_off || !strcmp(optarg, "on"))
		return STATUS_DONE;
	return usage_error("--tls-verify: neither on nor off: %s", optarg);
}

static enum command_status set_text(struct tls_options *tls, const char **text)
{
	tls->required = true;
	*text = optarg;
	return *optarg ? STATUS_DONE : usage_error("an option of TLS is empty");
}

bool set_tls_option(int option, struct tls_options *tls, enum command_status *status)
{
	switch (option) {
	case OPTION_TLS:
		*status = set_mode(tls);
		return true;
	case OPTION_TLS_CERTIFICATES:
		*status = set_text(tls, &tls->certificates);
		return true;
	case OPTION_TLS_PSK:
		*status = set_text(tls, &tls->psk_file);
		return true;
	case OPTION_TLS_USER:
		*status = set_text(tls, &tls->user);
		return true;
	case OPTION_TLS_HOSTNAME:
		*status = set_text(tls, &tls->hostname);
		return true;
	case OPTION_TLS_VERIFY:
		*status = set_verification(tls);
		return true;
	default:
		return false;
	}
}

static bool replace(char **string, const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	if (!text)
		return true;
	if (!copy)
		return false;
	free(*string);
	*string = copy;
	return true;
}

void warn_of_readers(const char *keys)
{
	struct stat status;

	if (keys && !stat(keys, &status) && status.st_mode & S_IROTH)
		say_warning("%s: everyone can read these keys: chmod o= keeps others out", keys);
}

enum command_status apply_tls_options(const struct tls_options *tls, struct nbdt_uri *uri)
{
	if (tls->off && (uri->tls || tls->required))
		return usage_error("--tls=off: an option or the address asks for TLS");
	if (tls->required)
		uri->tls = true;
	if (tls->verify_off)
		uri->tls_verify_peer = false;
	if (!replace(&uri->tls_certificates, tls->certificates)
		|| !replace(&uri->tls_psk_file, tls->psk_file) || !replace(&uri->user, tls->user)
		|| !replace(&uri->tls_hostname, tls->hostname)) {
		say_error("out of memory");
		return STATUS_FAILED;
	}
	warn_of_readers(uri->tls_psk_file);
	return STATUS_DONE;
}
