<?php
/* Plugin Name: Storeyard mail */

// The relay accepts one sender: a From of the shop's own moves to Reply-To, its name stays.
add_action('phpmailer_init', function ($mailer): void {
    $encryption = storeyard_read('mail/encryption');
    $mailer->isSMTP();
    $mailer->Host = storeyard_read('mail/host');
    $mailer->Port = (int) storeyard_read('mail/port');
    $mailer->SMTPSecure = ['starttls' => 'tls', 'tls' => 'ssl', 'none' => ''][$encryption];
    $mailer->SMTPAutoTLS = $encryption !== 'none';
    if (is_readable('/etc/storeyard/smtp/user')) {
        $mailer->SMTPAuth = true;
        $mailer->Username = storeyard_read('smtp/user');
        $mailer->Password = storeyard_read('smtp/password');
    }
    $from = storeyard_read('mail/from');
    if ($mailer->From !== $from && !$mailer->getReplyToAddresses()) {
        $mailer->addReplyTo($mailer->From, $mailer->FromName);
    }
    $mailer->setFrom($from, $mailer->FromName);
});
