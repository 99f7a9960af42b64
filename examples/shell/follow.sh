#!/usr/bin/env bash
# Keeps a copy of users, groups and access in a JSON file, in step with scimd. Needs curl and jq.
# SCIMD_URL, SCIMD_CERTIFICATE and SCIMD_TOKEN_FILE say where and how to ask; the argument is the file.
set -uo pipefail
file=${1:?usage: follow.sh FILE}
access=urn:scimd:scim:schemas:extension:access:1.0:User
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# get PATH: the body into $work/body, the headers into $work/head; prints the status.
get() {
    # The token is read from a file: arguments are visible to all users of the machine.
    printf 'header = "Authorization: Bearer %s"\n' "$(cat "$SCIMD_TOKEN_FILE")" |
        curl --silent --show-error --max-time 90 --cacert "$SCIMD_CERTIFICATE" --config - \
            --dump-header "$work/head" --output "$work/body" --write-out '%{http_code}' "$SCIMD_URL$1"
}

# save: the copy in $work/copy becomes the file, whole or not at all.
save() {
    cp "$work/copy" "$file.next" && mv "$file.next" "$file"
}

# Lists all users and groups. What changes meanwhile comes after the cursor of the first page.
list() {
    local path next begin=
    echo '{"users": {}, "access": {}, "groups": {}, "members": {}}' >"$work/copy"
    for path in "Users?attributes=userName,active,$access:effective" "Groups?attributes=displayName,members"; do
        next=
        while :; do
            [ "$(get "/scim/v2/$path&count=500&cursor=$next")" = 200 ] || return 1
            [ -n "$begin" ] || begin=$(tr -d '\r' <"$work/head" | sed -n 's/^scimd-cursor: //ip')
            jq --slurpfile page "$work/body" --arg begin "$begin" --arg access "$access" '
                .cursor = $begin
                | reduce ($page[0].Resources[]) as $one (.;
                    if $one.userName then
                        .users[$one.id] = [$one.userName, $one.active == true]
                        | .access[$one.id] = ([$one[$access].effective[]?.value | {(.): true}] | add // {})
                    else
                        .groups[$one.id] = $one.displayName
                        | .members[$one.id] = ([$one.members[]?.value | {(.): true}] | add // {})
                    end)' "$work/copy" >"$work/new" && mv "$work/new" "$work/copy" || return 1
            next=$(jq -r '.nextCursor // empty' "$work/body")
            [ -n "$next" ] || break
        done
    done
    save
}

# Applies a page of events. Applying an event again changes nothing.
apply() {
    jq --slurpfile page "$work/body" '
        reduce ($page[0].events[]) as $event (.;
            ($event.subject | split("/") | last) as $id | $event.data as $data
            | if $event.type == "user.deleted" or $event.type == "group.deleted" then
                  del(.users[$id], .access[$id], .groups[$id], .members[$id])
              elif $event.type == "access.changed" then
                  .access[$id] = ([$data.access.after[] | {(.): true}] | add // {})
              elif $data.resource == null then
                  .
              elif $event.type | startswith("user.") then
                  .users[$id] = [$data.resource.userName, $data.resource.active == true]
              else
                  .groups[$id] = $data.resource.displayName
                  | .members[$id] = (((.members[$id] // {})
                      + ([$data.members.added[]? | {(.): true}] | add // {}))
                      | delpaths([$data.members.removed[]? | [.]]))
              end)
        | .cursor = $page[0].next' "$file" >"$work/copy" && save
}

while :; do
    if [ ! -s "$file" ]; then
        list || sleep 1
        continue
    fi
    case $(get "/events?wait=30&limit=1000&after=$(jq -r .cursor "$file")") in
    200) apply || sleep 1 ;;
    410) rm -f "$file" ;;
    *) sleep 1 ;;
    esac
done
