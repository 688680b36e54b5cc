#!/bin/sh
# The program of the test images. Without arguments it waits until it is told to end; as process 1 it
# has to handle the signal itself. "version" prints the image's name; anything else is run.
case ${1:-} in
  '')
    trap 'exit 0' TERM INT
    echo "$(cat /image) started"
    while :; do sleep 86400 & wait $!; done ;;
  version) exec cat /image ;;
  *) exec "$@" ;;
esac
