# Shared by the scripts beside it: where things are kept, free ports, certificates, waiting, stopping.
#
# SERVICES_CACHE   downloads and programs          ${XDG_CACHE_HOME:-$HOME/.cache}/foretop
# SERVICES_PORTS   range free ports are taken from 20000-31999 (below the range the kernel hands to clients)

: "${SERVICES_CACHE:=${XDG_CACHE_HOME:-${HOME:?set HOME or SERVICES_CACHE}/.cache}/foretop}"
: "${SERVICES_PORTS:=20000-31999}"

fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# need COMMAND PACKAGE: a missing tool is named together with what brings it.
need() { command -v "$1" > /dev/null || fail "$1 is not on the PATH; install $2"; }

# free_port: a loopback port nobody listens on. Two callers may still draw the same one: a server that finds its port
# taken exits, and its start is tried again with another.
free_port() {
  local low=${SERVICES_PORTS%-*} high=${SERVICES_PORTS#*-} port
  for _ in $(seq 200); do
    port=$((low + (RANDOM * 32768 + RANDOM) % (high - low + 1)))
    (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null || { echo "$port"; return 0; }
  done
  fail "no free port in $SERVICES_PORTS"
}

# once NAME FUNCTION: runs FUNCTION with the path of an empty folder, and moves the folder to $SERVICES_CACHE/NAME only
# when it succeeded, so that an interrupted download is never taken for a program. Safe for several callers at a time.
once() {
  local target=$SERVICES_CACHE/$1 partial=$SERVICES_CACHE/$1.partial
  [ ! -d "$target" ] || return 0
  mkdir -p "$(dirname "$target")"
  (
    flock 9
    [ ! -d "$target" ] || exit 0
    rm -rf "$partial" && mkdir -p "$partial"
    "$2" "$partial"
    mv "$partial" "$target"
  ) 9> "$target.lock"
}

# maven POM GOAL OUTPUT: resolves the artifacts of a POM into a folder; the network gets three tries.
maven() {
  need mvn "Apache Maven 3.8 or newer"
  local try
  for try in 1 2 3; do
    mvn -q -B -Dstyle.color=never -f "$1" "-DoutputDirectory=$3" -DincludeScope=runtime \
      "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:$2" && return 0
    echo "maven could not resolve $1 (try $try of 3)" >&2
    sleep $((try * 5))
  done
  return 1
}

# certificates DIR: a private CA and a certificate for localhost and 127.0.0.1 that it signed; made once.
certificates() (
  [ ! -f "$1/server.pem" ] || exit 0
  need openssl openssl
  mkdir -p "$1" && cd "$1"
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=foretop integration tests' -keyout ca.key -out ca.pem
  openssl req -newkey rsa:2048 -nodes -subj '/CN=localhost' -keyout server.key -out server.csr
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out server.crt \
    -extfile <(echo 'subjectAltName=DNS:localhost,IP:127.0.0.1')
  cat server.key server.crt ca.pem > server.pem.partial && mv server.pem.partial server.pem
) 2> /dev/null

# A process is known by its id and the time it began, so that an id which the system has given to somebody else in the
# meantime is never signalled.
began() { ps -o lstart= -p "$1" 2> /dev/null; }
remember() { printf '%s\n%s\n' "$2" "$(began "$2")" > "$1"; }
alive() {
  [ -s "$1" ] || return 1
  local pid time
  { read -r pid; read -r time; } < "$1"
  [ -n "$time" ] && [ "$(began "$pid" | xargs)" = "$(xargs <<< "$time")" ]
}

# await SECONDS PIDFILE COMMAND...: until COMMAND succeeds; not longer than SECONDS, nor than the process lives.
await() {
  local deadline=$((SECONDS + $1)) pidfile=$2
  shift 2
  until "$@" > /dev/null 2>&1; do
    alive "$pidfile" || { echo "the process ended before it answered" >&2; return 1; }
    [ "$SECONDS" -lt "$deadline" ] || { echo "no answer in time" >&2; return 1; }
    sleep 0.3
  done
}

# end PIDFILE: asks the process to stop, and makes it after 30 seconds.
end() {
  local pid
  if alive "$1"; then
    read -r pid < "$1"
    kill "$pid" 2> /dev/null || true
    for _ in $(seq 100); do alive "$1" || break; sleep 0.3; done
    ! alive "$1" || kill -KILL "$pid" 2> /dev/null || true
  fi
  rm -f "$1"
}

# listening PORT: something accepts connections there.
listening() { (: < "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

# attempt SECONDS: launches the service up to three times, on new ports each time, until it answers within SECONDS.
# Uses what each script defines: launch (starts it and remembers it), answers (succeeds when it serves), logs (its files).
attempt() {
  local try
  for try in 1 2 3; do
    launch
    await "$1" "$DIR/pid" answers && return 0
    end "$DIR/pid"
    echo "$(basename "$0"): start failed (try $try of 3)" >&2
  done
  # shellcheck disable=SC2046 # one word a file
  tail -n 30 $(logs) >&2
  fail "did not start; its logs are in $DIR"
}

# main COMMAND [DIR]: the command line the scripts have in common.
main() {
  local command=${1:-} name
  name=$(basename "$0")
  DIR=${2:-$SERVICES_CACHE/run/$name}
  case $command in
    install) install ;;
    start)
      ! alive "$DIR/pid" || fail "already runs in $DIR (pid $(head -n 1 "$DIR/pid")); stop it first"
      install
      mkdir -p "$DIR" && DIR=$(cd "$DIR" && pwd)
      start
      echo "$name pid $(head -n 1 "$DIR/pid"), settings for tests in $DIR/env:"
      cat "$DIR/env"
      ;;
    env) alive "$DIR/pid" || fail "does not run in $DIR"; cat "$DIR/env" ;;
    stop) end "$DIR/pid" ;;
    *) fail "usage: $name install|start|env|stop [DIR]   (DIR holds data, log, settings; default $DIR)" ;;
  esac
}
