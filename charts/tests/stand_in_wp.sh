#!/bin/bash
# A stand-in for WP-CLI: keeps a shop's state as files under $WP_STATE and records every call.
# It knows only the commands that setup.sh may use, with WP-CLI's exit codes as they are documented;
# what the real commands do inside WordPress is not claimed here (docs/limits.md).
set -u
shopt -s nullglob
state=$WP_STATE
[ -d "$state/options" ] || mkdir "$state/options"
printf '%s\n' "$*" >>"$WP_LOG"

positional=()
for argument in "$@"; do
    case $argument in
        --*=*) name=${argument#--} name=${name%%=*}; declare "opt_${name//-/_}=${argument#*=}" ;;
        --*) ;;
        *) positional+=("$argument") ;;
    esac
done
set -- "${positional[@]}"

prompted() { # as WP-CLI: reads one line, then prints the whole command with the answer in it
    local answer
    IFS= read -r answer
    echo "wp $* --${opt_prompt}='$answer'"
    printf '%s' "$answer" >"$state/.answer"
}
count() { echo $#; }
show() { [ ! -e "$1" ] || echo "$(<"$1")"; }
needs_shop() {
    [ -e "$state/plugin-woocommerce-active" ] || { echo "Error: 'wc' is not a registered wp command." >&2; exit 1; }
    [ -e "$state/user-$opt_user" ] || { echo "Error: Invalid user ID, email or login: '$opt_user'" >&2; exit 1; }
}
needs_tables() { [ -e "$state/installed" ] || { echo "Error: The site you have requested is not installed." >&2; exit 1; }; }

effect() {
    case "$1 ${2:-}" in
        "core is-installed") [ -e "$state/installed" ]; return ;;
        "core install")
            prompted "$@"
            mv "$state/.answer" "$state/user-$opt_admin_user"
            echo yes >"$state/installed"
            printf %s "$opt_title" >"$state/options/blogname"
            printf %s "${IMAGE_DB_VERSION:-60000}" >"$state/options/db_version"
            return ;;
    esac
    needs_tables
    case "$1 ${2:-}" in
        "core update-db") printf %s "${IMAGE_DB_VERSION:-60000}" >"$state/options/db_version" ;;
        "option get") [ -e "$state/options/$3" ] && show "$state/options/$3" ;;
        "option list")
            if [ "${opt_format:-}" = count ]; then [ -e "$state/options/$opt_search" ] && echo 1 || echo 0
            else show "$state/options/$opt_search"; fi ;;
        "option update") if [ $# -ge 4 ]; then printf %s "$4"; else cat; fi >"$state/options/$3" ;;
        "option add") [ ! -e "$state/options/$3" ] && printf %s "$4" >"$state/options/$3" ;;
        "option delete") rm -f "$state/options/$3" ;;
        "transient delete") [ -e "$state/transient-$3" ] && rm "$state/transient-$3" ;;
        "plugin list" | "theme list") show "$state/$1-$opt_name-version" ;;
        "plugin install" | "theme install") printf '%s\n' "$opt_version" >"$state/$1-$3-version" ;;
        "plugin is-active" | "theme is-active") [ -e "$state/$1-$3-active" ] ;;
        "plugin activate" | "theme activate")
            [ ! -e "$state/options/wc_installing" ] || { echo "locked" >&2; exit 1; }
            [ -e "$state/$1-$3-version" ] && echo yes >"$state/$1-$3-active" ;;
        "user list") count "$state"/user-* ;;
        "user create") prompted "$@"; mv "$state/.answer" "$state/user-$3" ;;
        "role reset") echo yes >"$state/roles" ;;
        "rewrite structure") printf %s "$3" >"$state/options/permalink_structure" ;;
        "rewrite flush") ;;
        "eval WC_Install::newly_installed();") echo yes >"$state/finished" ;;
        "language core") echo yes >"$state/language-core-$4" ;;
        "language plugin") echo yes >"$state/language-$4-$5" ;;
        "site switch-language") printf %s "$3" >"$state/options/WPLANG" ;;
        "wc update") [ -e "$state/plugin-woocommerce-active" ] && cp "$state/plugin-woocommerce-version" "$state/shop-database" ;;
        "wc tool") needs_shop; echo yes >"$state/pages" ;;
        "wc hpos") printf yes >"$state/options/woocommerce_custom_orders_table_enabled" ;;
        "wc shipping_zone_method")
            needs_shop
            if [ "$3" = list ]; then count "$state"/shipping-*
            else printf %s "$opt_settings" >"$state/shipping-$RANDOM"; fi ;;
        "wc product")
            needs_shop
            if [ "$3" = list ]; then show "$state/product-$opt_sku"
            else [ ! -e "$state/product-$opt_sku" ] && printf '%s at %s: %s\n' "$opt_name" "$opt_regular_price" "$opt_description" >"$state/product-$opt_sku"; fi ;;
        *) echo "the stand-in does not know: $*" >&2; exit 64 ;;
    esac
}

result=0
effect "$@" || result=$?
mapfile -t calls <"$WP_LOG"
if [ "${#calls[@]}" = "${WP_KILL_AFTER:-}" ]; then
    kill -9 0 # the whole Job, at once
fi
exit "$result"
