#!/bin/sh
# Assembles /var/www/html at every start: WordPress from the image, wp-content from the volume.
# The image's own copy step fails as a plain user on a volume that belongs to root, and it never
# replaces what is there, so an image upgrade would not upgrade anything.
set -eu
umask 022
from=/usr/src/wordpress
to=/var/www/html
content=$to/wp-content

find "$to" -mindepth 1 -maxdepth 1 ! -name wp-content -exec rm -rf {} +
find "$from" -mindepth 1 -maxdepth 1 ! -name wp-content -exec cp -R {} "$to/" \;
cp /opt/storeyard/wp-config.php "$to/wp-config.php"

# Once only: what the owner deletes later must stay deleted. Two pods may do this at the same
# moment, and either may be killed: each entry appears whole, by a rename, or not at all.
seed() {
    if [ -e "$from/wp-content/$1" ] && [ ! -e "$content/$1" ]; then
        staging=$(mktemp -d "$content/.storeyard.XXXXXX")
        cp -R "$from/wp-content/$1" "$staging/entry"
        mv -T "$staging/entry" "$content/$1" 2>/dev/null || [ -e "$content/$1" ]
        rm -rf "$staging"
    fi
}
if [ ! -e "$content/.storeyard-seeded" ]; then
    mkdir -p "$content/plugins" "$content/themes"
    for path in "$from"/wp-content/index.php "$from"/wp-content/plugins/* "$from"/wp-content/themes/*; do
        seed "${path#"$from/wp-content/"}"
    done
    touch "$content/.storeyard-seeded"
fi
mkdir -p "$content/uploads" "$content/upgrade" "$content/mu-plugins"

# Ours, renewed at every start; one that the chart no longer has (mail switched off) goes.
for ours in "$content"/mu-plugins/storeyard-*.php; do
    [ -e "/opt/storeyard/$(basename "$ours")" ] || rm -f "$ours"
done
for ours in /opt/storeyard/storeyard-*.php; do
    staging=$(mktemp "$content/mu-plugins/.storeyard.XXXXXX")
    cat "$ours" > "$staging"
    chmod 644 "$staging"
    mv "$staging" "$content/mu-plugins/$(basename "$ours")"
done

cmp "$from/wp-includes/version.php" "$to/wp-includes/version.php"
