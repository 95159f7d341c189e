#!/bin/bash
# What is due: WordPress's scheduled events, then WooCommerce's queue.
set -euo pipefail
cd /var/www/html

answer=$(php -r 'require "/opt/storeyard/common.php";
    $db = storeyard_connect();
    echo $db ? (storeyard_is_set_up($db) ? "yes" : "no") : "no database";')
case $answer in
    yes) ;;
    no) echo "The shop is not set up yet."; exit 0 ;;
    *) echo "The database does not answer." >&2; exit 1 ;;
esac
wp cron event run --due-now
if wp plugin is-active woocommerce; then
    wp action-scheduler run --batches="$ACTION_SCHEDULER_BATCHES"
fi
