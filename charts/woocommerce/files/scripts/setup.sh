#!/bin/bash
# Makes WordPress a shop, once, and keeps its database in step with its code ever after.
#
# Runs as a Job at every release and may be killed anywhere: every step looks before it acts.
# What an owner may change is set on the first run only; the option storeyard_setup_done, written
# last, ends the first run (and makes the shop ready, see ready.php). Log: one JSON line a step.
set -Eeuo pipefail
cd /var/www/html
readonly store=/etc/storeyard/store secret=/etc/storeyard/wordpress

# Without an input of its own wp would eat the list that a loop is reading.
wp() { command wp "$@" </dev/null; }
as_admin() { wp "$@" --user="$admin_user"; }
say() { printf '{"step":"%s","state":"%s"}\n' "$current" "$1"; }
step() { current=$*; say started; "$@"; }
trap 'say failed' ERR

# A password comes in by --prompt, never as an argument. wp then logs the whole command, password
# included, to its standard output: that must not reach the pod's log.
with_password() { command wp "$@" < <(cat "$secret/admin-password"; echo) >/dev/null; }
newer() { php -r 'exit((int) !version_compare($argv[1], $argv[2], ">"));' -- "$1" "$2"; }

# --- every run ---

install_core() {
    if ! wp core is-installed; then
        with_password core install --url="$(cat $store/url)" --title=Shop --skip-email \
            --admin_user="$admin_user" --admin_email="$admin_email" --prompt=admin_password
    fi
}

refuse_older_core() {
    local code database
    code=$(sed -n 's/^\$wp_db_version = \([0-9]*\);.*/\1/p' wp-includes/version.php)
    database=$(wp option get db_version)
    if ((database > code)); then
        say refused
        echo "The database is of a newer WordPress ($database) than this image ($code): restore a backup instead." >&2
        exit 3
    fi
}

update_core_database() { wp core update-db; }

# A newer version stays: older code on a newer database breaks the shop. One that is missing was
# being replaced when a run was killed.
install_extension() { # plugin|theme, name, version
    local have
    have=$(wp "$1" list --name="$2" --field=version)
    if [ "$have" = "$3" ]; then
        return
    elif newer "$have" "$3"; then
        say "kept $have"
    else
        wp "$1" install "$2" --version="$3" --force
    fi
}

update_shop_database() {
    if wp plugin is-active woocommerce; then
        wp wc update
    fi
}

# --- first run ---

ensure_administrator() { # the installation may have been killed before it made one
    local count
    count=$(wp user list --role=administrator --format=count)
    if [ "$count" = 0 ]; then
        wp role reset --all
        with_password user create "$admin_user" "$admin_email" --role=administrator --prompt=user_pass
    fi
}

activate_woocommerce() {
    # A killed installation leaves a lock for ten minutes, longer than this Job may run.
    wp transient delete wc_installing || true
    wp option delete wc_installing || true
    wp plugin is-active woocommerce || wp plugin activate woocommerce
}

activate_storefront() { wp theme is-active storefront || wp theme activate storefront; }

# WooCommerce does this when an administrator first looks in, and a shop that already has an order
# by then never gets order tables of its own.
finish_installation() {
    wp transient delete _wc_activation_redirect || true
    wp eval 'WC_Install::newly_installed();'
}

enable_order_tables() {
    local enabled
    enabled=$(wp option list --search=woocommerce_custom_orders_table_enabled --field=option_value)
    [ "$enabled" = yes ] || wp wc hpos enable --for-new-shop
}

name_the_shop() {
    command wp option update blogname <"$store/title"
    wp option update timezone_string "$(cat $store/timezone)"
    wp option update woocommerce_currency "$(cat $store/currency)"
    wp option update woocommerce_default_country "$(cat $store/country)"
}

install_language() {
    local locale
    locale=$(cat $store/locale)
    if [ "$locale" != en_US ]; then
        wp language core install "$locale"
        wp language plugin install woocommerce "$locale"
        wp site switch-language "$locale"
    fi
}

choose_settings() {
    wp option update woocommerce_coming_soon no
    wp option update woocommerce_store_pages_only no
    wp option update woocommerce_onboarding_profile '{"skipped":true,"completed":true}' --format=json
    wp option update woocommerce_task_list_hidden yes
    wp option update woocommerce_show_marketplace_suggestions no
    wp option update woocommerce_allow_tracking no
    wp option update woocommerce_enable_guest_checkout yes
    wp option update woocommerce_cod_settings '{"enabled":"yes","title":"Cash on delivery"}' --format=json
}

make_pages() { as_admin wc tool run install_pages; }

add_flat_rate() {
    local count
    count=$(as_admin wc shipping_zone_method list 0 --format=count)
    if [ "$count" = 0 ]; then
        as_admin wc shipping_zone_method create 0 --method_id=flat_rate \
            --settings="{\"title\":\"Flat rate\",\"cost\":\"$FLAT_RATE_COST\"}"
    fi
}

add_sample_products() {
    local sku name price description found
    while IFS=$'\t' read -r sku name price description; do
        found=$(as_admin wc product list --sku="$sku" --field=id)
        if [ -z "$found" ]; then
            as_admin wc product create --sku="$sku" --name="$name" --regular_price="$price" \
                --description="$description" --type=simple --status=publish
        fi
    done </opt/storeyard/sample-products.tsv
}

set_permalinks() {
    wp rewrite structure '/%postname%/'
    wp rewrite flush
}

remember() { wp option add storeyard_setup_done "$WOOCOMMERCE_VERSION"; }

admin_user=$(cat $secret/admin-user)
admin_email=$(cat $secret/admin-email)

step install_core
step refuse_older_core
step update_core_database
# Not in a condition: a database that is away for a moment must end the run, not look like a first one.
already_set_up=$(wp option list --search=storeyard_setup_done --format=count)
step install_extension plugin woocommerce "$WOOCOMMERCE_VERSION"
step install_extension theme storefront "$STOREFRONT_VERSION"
if [ "$already_set_up" = 0 ]; then
    step ensure_administrator
    step activate_woocommerce
    step activate_storefront
fi
step update_shop_database
if [ "$already_set_up" = 0 ]; then
    step finish_installation
    step enable_order_tables
    step name_the_shop
    step install_language
    step choose_settings
    step make_pages
    step add_flat_rate
    if [ "$SAMPLE_PRODUCTS" = true ]; then
        step add_sample_products
    fi
    step set_permalinks
    step remember
fi
current=setup
say done
