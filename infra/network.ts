import { Fn, Validations } from "aws-cdk-lib";
import { GatewayVpcEndpointAwsService, type IVpc, SecurityGroup, SubnetType, Vpc } from "aws-cdk-lib/aws-ec2";
import { Construct } from "constructs";

/**
 * Where workers live: public subnets, since a NAT gateway is billed by the hour even while no one trains; and no one may
 * come in. What they read and write in S3 goes through a gateway of its own, for nothing.
 */
export class Network extends Construct {
  readonly vpc: IVpc;
  readonly workers: SecurityGroup;

  constructor(scope: Construct, zones: number) {
    super(scope, "Network");
    // The class differs from its own interface in how it says that a VPN may be absent.
    this.vpc = new Vpc(this, "Vpc", {
      availabilityZones: Array.from({ length: zones }, (_, zone) => Fn.select(zone, Fn.getAzs())),
      natGateways: 0,
      subnetConfiguration: [{ name: "workers", subnetType: SubnetType.PUBLIC }],
      restrictDefaultSecurityGroup: false,
      gatewayEndpoints: { S3: { service: GatewayVpcEndpointAwsService.S3 } },
    }) as IVpc;
    this.workers = new SecurityGroup(this, "Workers", {
      vpc: this.vpc,
      description: "workers: out to AWS, nothing in",
      allowAllOutbound: true,
    });
    Validations.of(this.vpc).acknowledge({
      id: "AwsSolutions-VPC7",
      reason:
        "nothing listens and nothing may come in; a log of all flows would mostly tell of S3 and cost more",
    });
  }
}
