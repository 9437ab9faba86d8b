# shellcheck shell=bash
# alive PID: whether a process exists and is no zombie (`kill -0` succeeds on zombies, which process 1 may reap late)
alive() { [ -n "$1" ] && [ -r "/proc/$1/stat" ] && [ "$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -c1)" != Z ]; }

# stop PIDFILE NAME: SIGTERM, then SIGKILL; only while the PID is still a process of that name
stop() {
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 0
  alive "$pid" || return 0
  grep -q "$2" "/proc/$pid/cmdline" 2>/dev/null || return 0
  kill "$pid" 2>/dev/null
  for _ in $(seq 1 100); do
    alive "$pid" || return 0
    sleep 0.05
  done
  kill -9 "$pid" 2>/dev/null
}
