#!/bin/sh
# Keeps the facts whose subject begins with a text in a file, one line an event, each once, without NATS: it follows the
# live stream of the REST API. Kill it, start it again: the last line of the file is where it goes on.
#
# URL=http://127.0.0.1:8000 KEY=pc_auditor_… sh follow.sh events.v1.order. orders.tsv
set -u
subject=$1 file=$2
touch "$file" "$file.epoch"
[ -n "$(tail -c 1 "$file")" ] && sed -i '$ d' "$file" # a last line that a crash has torn

while :; do
    last=$(tail -n 1 "$file" | cut -f 1)
    epoch=$(cat "$file.epoch")
    curl --silent --no-buffer --max-time 3600 --header "Authorization: Bearer $KEY" \
        --header "Last-Event-ID: ${last:-0}" "$URL/v1/events/stream${epoch:+?epoch=$epoch}" |
        while IFS= read -r line; do
            case "$line" in
            ": epoch "*) printf '%s' "${line#: epoch }" >"$file.epoch" ;;
            "id: "*) position=${line#id: } ;;
            "data: "*)
                about=${line%%,\"data\":*} # what stands before the payload
                case "$about" in
                *"\"subject\":\"$subject"*) printf '%s\t%s\n' "$position" "${line#data: }" >>"$file" ;;
                esac
                ;;
            *problems/log-changed*) # positions have another content now: begin anew with another file
                echo "$line" >&2
                exit 3
                ;;
            "{"*) echo "$line" >&2 ;;
            esac
        done
    [ $? -eq 3 ] && exit 3
    sleep 1
done
