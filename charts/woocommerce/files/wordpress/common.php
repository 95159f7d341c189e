<?php
// What wp-config.php, the health pages and the scripts share: the mounted files and the database.

const STOREYARD_DB_NAME = 'wordpress';
const STOREYARD_DB_USER = 'wordpress';

/** One mounted setting or secret, without the line end that an editor may have left. */
function storeyard_read(string $name): string
{
    $text = file_get_contents('/etc/storeyard/' . $name);
    if ($text === false) {
        throw new RuntimeException("/etc/storeyard/$name cannot be read");
    }
    return rtrim($text, "\r\n");
}

/** A connection, or null when the database does not answer within two seconds. */
function storeyard_connect(): ?mysqli
{
    mysqli_report(MYSQLI_REPORT_OFF);
    [$host, $port] = explode(':', getenv('STORE_DB_HOST') . ':3306');
    $db = mysqli_init();
    $db->options(MYSQLI_OPT_CONNECT_TIMEOUT, 2);
    $db->options(MYSQLI_OPT_READ_TIMEOUT, 2);
    $password = storeyard_read('db/password');
    $connected = @$db->real_connect($host, STOREYARD_DB_USER, $password, STOREYARD_DB_NAME, (int) $port);
    return $connected ? $db : null;
}

/** Whether setup.sh has finished once; it writes this option last. False, too, before there are tables. */
function storeyard_is_set_up(mysqli $db): bool
{
    $option = $db->query("SELECT 1 FROM wp_options WHERE option_name = 'storeyard_setup_done'");
    return $option && $option->num_rows === 1;
}
