<?php
// Ready means that the database answers and that setup has finished once.
require '/opt/storeyard/common.php';

header('Content-Type: text/plain');
header('Cache-Control: no-store');
$db = storeyard_connect();
if ($db && storeyard_is_set_up($db)) {
    echo "ready\n";
} else {
    http_response_code(503);
    echo $db ? "not set up\n" : "no database\n";
}
