<?php
// Returns once the database accepts our user; gives up after the seconds in the first argument.
require '/opt/storeyard/common.php';

$until = time() + (int) $argv[1];
while (!storeyard_connect()) {
    $why = mysqli_connect_error();
    if (time() >= $until) {
        fwrite(STDERR, "The database did not answer in time: $why\n");
        exit(1);
    }
    echo "Waiting for the database: $why\n";
    sleep(1);
}
