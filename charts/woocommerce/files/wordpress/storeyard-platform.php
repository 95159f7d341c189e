<?php
/* Plugin Name: Storeyard platform */

// WordPress comes from the image: updated in place it would be old again after the next start,
// with a database that is already new.
add_filter('map_meta_cap', function (array $needed, string $capability): array {
    return $capability === 'update_core' ? ['do_not_allow'] : $needed;
}, 10, 2);
