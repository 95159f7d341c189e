<?php
// Everything secret is read from mounted files, so that no environment, argument or image holds it.
require_once '/opt/storeyard/common.php';

define('DB_NAME', STOREYARD_DB_NAME);
define('DB_USER', STOREYARD_DB_USER);
define('DB_PASSWORD', storeyard_read('db/password'));
define('DB_HOST', getenv('STORE_DB_HOST'));
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
$table_prefix = 'wp_';

define('AUTH_KEY', storeyard_read('wordpress/auth-key'));
define('SECURE_AUTH_KEY', storeyard_read('wordpress/secure-auth-key'));
define('LOGGED_IN_KEY', storeyard_read('wordpress/logged-in-key'));
define('NONCE_KEY', storeyard_read('wordpress/nonce-key'));
define('AUTH_SALT', storeyard_read('wordpress/auth-salt'));
define('SECURE_AUTH_SALT', storeyard_read('wordpress/secure-auth-salt'));
define('LOGGED_IN_SALT', storeyard_read('wordpress/logged-in-salt'));
define('NONCE_SALT', storeyard_read('wordpress/nonce-salt'));

define('WP_HOME', storeyard_read('store/url'));
define('WP_SITEURL', WP_HOME);
define('WP_MEMORY_LIMIT', '256M');
define('FS_METHOD', 'direct');
// The CronJob does it: a call to our own public address is refused by the network policy.
define('DISABLE_WP_CRON', true);
// WordPress itself comes from the image; an update in place would be gone after the next start.
define('AUTOMATIC_UPDATER_DISABLED', true);
define('WP_AUTO_UPDATE_CORE', false);
define('DISALLOW_FILE_EDIT', true);

// The controller in front ends TLS and sets this header itself.
if (str_contains($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '', 'https')) {
    $_SERVER['HTTPS'] = 'on';
}

if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
