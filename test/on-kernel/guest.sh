# The machine's job: run the tests, print their result as a line, power off. job.sh beside it sets
# the paths.
. /job.sh
export PATH="$node:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin" HOME=/root
# The machine uses what Node compiled earlier, also on the host.
export NODE_COMPILE_CACHE="$compiled" PODFENCE_TEST_RESULTS=/results.json
mkdir -p /dev/shm /dev/pts /lib/modules
mount -t tmpfs shm /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs run /run
mount -t cgroup2 cgroup /sys/fs/cgroup
mount --bind "$modules" /lib/modules
ip link set lo up
echo "Linux $(uname -r), after $(cut -d ' ' -f 1 /proc/uptime) s"
cd "$checkout"
# Through a pipe: on a terminal vitest would redraw lines.
{ node node_modules/.bin/vitest run --config test/on-kernel/vitest.config.ts --no-color \
  --reporter="$checkout/setup/results-reporter.mjs" --reporter=verbose $tests
  echo $? > /code; } 2>&1 | cat
[ -f /results.json ] && echo "podfence-results $(cat /results.json)"
echo "podfence-exit $(cat /code)"
echo o > /proc/sysrq-trigger
while :; do :; done
