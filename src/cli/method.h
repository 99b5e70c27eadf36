/* Running a method as a command. */
#ifndef SN_CLI_METHOD_H
#define SN_CLI_METHOD_H

#include "cli/cli.h"

/* Opens the inputs, runs cli->method with cli->param and hands the result out; returns how that ended. */
SN_CHECKED sn_status sn_method_command(sn_cli *cli, const sn_method_input *names);

#endif
