"""
Common given names and surnames of the United States, as the Census Bureau counts them: public facts.

Short lists are enough: a column of names is recognised by the share of its cells that stand in them.
"""

from __future__ import annotations

_GIVEN = """
james john robert michael william david richard charles joseph thomas christopher daniel paul mark donald
george kenneth steven edward brian ronald anthony kevin jason matthew gary timothy jose larry jeffrey frank
scott eric stephen andrew raymond gregory joshua jerry dennis walter patrick peter harold douglas henry carl
arthur ryan roger joe juan jack albert jonathan justin terry gerald keith samuel willie ralph lawrence
nicholas roy benjamin bruce brandon adam harry fred wayne billy steve louis jeremy aaron randy howard eugene
carlos russell bobby victor martin ernest phillip todd jesse craig alan shawn clarence sean philip chris
johnny earl jimmy antonio danny bryan tony luis mike stanley leonard nathan dale manuel rodney curtis norman
allen marvin vincent glenn jeffery travis jeff chad jacob lee melvin alfred kyle francis bradley jesus herbert
frederick ray joel edwin don eddie ricky troy randall barry alexander bernard mario leroy francisco marcus
micheal theodore clifford miguel oscar jay jim tom calvin alex jon ronnie bill lloyd tommy leon derek warren
darrell jerome floyd leo alvin tim wesley gordon dean greg jorge dustin pedro derrick dan lewis zachary corey
herman maurice vernon roberto clyde glen hector shane ricardo sam rick lester brent ramon charlie tyler
gilbert gene marc reginald ruben brett angel nathaniel rafael leslie edgar milton raul ben chester cecil duane
franklin andre elmer brad gabriel ron mitchell roland arnold harvey jared adrian karl cory claude erik darryl
jamie neil jessie christian javier fernando clinton ted mathew tyrone darren lonnie lance cody julio kelly
kurt allan nelson guy clayton hugh max dwayne dwight armando felix jimmie everett jordan ian wallace ken bob
jaime casey alfredo alberto dave ivan johnnie sidney byron julian isaac morris clifton willard daryl ross
virgil andy marshall salvador perry kirk sergio marion tracy seth kent terrance rene eduardo terrence enrique
freddie wade austin stuart fredrick arturo alejandro jackie joey nick luther wendell jeremiah evan julius
dana donnie otis shannon trevor oliver luke homer gerard doug kenny hubert angelo shaun lyle matt lynn alfonso
orlando rex carlton ernesto cameron neal pablo lorenzo omar wilbur blake grant horace roderick kerry abraham
willis rickey jean ira andres cesar johnathan malcolm rudolph damon kelvin rudy preston alton archie marco
pete randolph garry geoffrey jonathon felipe bennie gerardo ed dominic robin loren delbert colin guillermo
earnest lucas benny noel spencer rodolfo myron edmund garrett salvatore cedric lowell gregg sherman wilson
devin sylvester kim roosevelt israel jermaine forrest wilbert leland simon clark irving carroll bryant owen
rufus woodrow sammy kristopher mack levi marcos gustavo jake lionel marty taylor ellis dallas gilberto clint
nicolas laurence ismael orville drew jody ervin dewey al wilfred josh hugo ignacio caleb tomas sheldon erick
frankie stewart doyle darrel rogelio terence santiago alonzo elias bert elbert ramiro conrad pat noah grady
phil cornelius lamar rolando clay percy dexter bradford merle darin amos terrell moses irvin saul roman
darnell randal tommie timmy darrin winston brendan toby van abel dominick boyd courtney jan emilio elijah cary
domingo santos aubrey emmett marlon emanuel jerald edmond emil dewayne will otto teddy reynaldo bret morgan
jess trent humberto emmanuel stephan louie vicente lamont stacy garland miles micah efrain billie logan heath
rodger harley demetrius ethan eldon pierre junior freddy eli bryce antoine robbie kendall royce
sterling mickey chase grover elton cleveland dylan chuck damian reuben stan august leonardo jasper russel
erwin benito hans monte blaine ernie curt quentin agustin murray jamal devon adolfo harrison tyson burton
brady elliott wilfredo bart jarrod vance denis damien joaquin harlan desmond elliot darwin ashley gregorio
xavier kermit roscoe esteban anton solomon norbert elvin nolan carey rod quinton hal brain rob elwood kendrick
darius moises marlin fidel thaddeus cliff marcel ali raphael bryon armand alvaro jeffry dane joesph thurman
ned rusty mohammed muhammad ahmed mohamed liam mason aiden jayden hunter connor landon gavin wyatt carter
mary patricia linda barbara elizabeth jennifer maria susan margaret dorothy lisa nancy karen betty helen
sandra donna carol ruth sharon michelle laura sarah kimberly deborah jessica shirley cynthia angela melissa
brenda amy anna rebecca virginia kathleen pamela martha debra amanda stephanie carolyn christine marie janet
catherine frances ann joyce diane alice julie heather teresa doris gloria evelyn cheryl mildred katherine joan
judith rose janice nicole judy christina kathy theresa beverly denise tammy irene jane lori rachel marilyn
andrea kathryn louise sara anne jacqueline wanda bonnie julia ruby lois tina phyllis norma paula diana annie
lillian emily peggy crystal gladys rita dawn connie florence tracy edna tiffany carmen rosa cindy grace wendy
victoria edith sherry sylvia josephine thelma sheila ethel ellen elaine marjorie carrie charlotte monica
esther pauline emma juanita anita rhonda hazel amber eva debbie april leslie clara lucille joanne eleanor
valerie danielle megan alicia suzanne michele gail bertha darlene veronica jill erin geraldine lauren cathy
joann lorraine sally regina erica beatrice dolores bernice audrey yvonne annette samantha marion stacy ana
renee ida vivian roberta holly brittany melanie loretta yolanda jeanette laurie katie kristen vanessa alma sue
elsie beth jeanne vicki carla tara rosemary eileen gertrude lucy tonya ella stacey wilma gina kristin agnes
natalie vera willie charlene bessie delores melinda pearl arlene maureen colleen allison tamara joy georgia
constance lillie claudia jackie marcia tanya nellie minnie marlene heidi glenda lydia viola courtney marian
stella caroline dora jo vickie mattie maxine irma mabel marsha myrtle lena christy deanna patsy hilda
gwendolyn jennie nora margie nina cassandra leah penny kay priscilla naomi carole brandy olga billie dianne
leona jenny felicia sonia miriam velma becky bobbie violet kristina toni misty mae shelly daisy ramona sherri
erika katrina claire lindsey lindsay geneva guadalupe belinda margarita sheryl cora faye ada natasha sabrina
isabel marguerite hattie harriet molly cecilia kristi brandi blanche rosie joanna iris eunice angie inez
lynda madeline amelia alberta genevieve monique jodi janie maggie kayla sonya kristine candace fannie maryann
opal alison yvette melody luz susie olivia flora shelley kristy mamie lula lola verna beulah antoinette
candice juana jeannette pam kelli hannah whitney bridget karla celia latoya patty shelia gayle della vicky
lynne sheri marianne kara jacquelyn erma blanca myra leticia krista roxanne angelica robyn adrienne rosalie
alexandra brooke bethany sadie bernadette traci jody kendra jasmine nichole rachael chelsea mable ernestine
muriel marcella elena krystal angelina nadine kari estelle dianna paulette lora mona doreen rosemarie angel
desiree antonia hope ginger janis betsy christie freda mercedes meredith lynette teri cristina eula leigh
meghan sophia eloise rochelle gretchen cecelia raquel henrietta alyssa jana kelley gwen kerry jenna tricia
laverne olive alexis tasha silvia elvira casey delia sophie kate patti lorena kellie sonja lila lana darla
may mindy essie mandy lorene elsa josefina jeannie miranda dixie lucia marta faith lela johanna shari camille
tami shawna elisa ebony melba ora nettie tabitha ollie jaime winifred kristie marina alisha aimee rena myrna
marla tammie latasha bonita patrice ronda sherrie addie francine deloris stacie adriana cheri shelby abigail
celeste jewel cara adele rebekah lucinda dorthy chris effie trina reba shawn sallie aurora lenora etta lottie
kerri trisha nikki estella francisca josie tracie marissa karin brittney janelle lourdes laurel helene fern
elva corinne kelsey ina bettie elisabeth aida caitlin ingrid iva eugenia christa goldie cassie maude jenifer
therese frankie dena lorna janette latonya candy morgan consuelo tamika rosetta debora cherie polly dina jewell
fay jillian dorothea nell trudy esperanza patrica kimberley shanna helena carolina cleo stefanie rosario ola
janine mollie lupe alisa lou maribel susanne bette susana elise cecile isabelle lesley jocelyn paige joni
rachelle leola daphne alta ester petra graciela imogene jolene keisha lacey glenna gabriela keri ursula lizzie
kirsten shana adeline mayra jayne jaclyn gracie sondra carmela marisa rosalind charity tonia beatriz marisol
clarice jeanine sheena angeline frieda lily robbie shauna millie claudette cathleen angelia gabrielle autumn
katharine summer jodie staci lea christi jimmie justine elma luella margret dominique socorro rene martina
margo mavis callie bobbi maritza lucile leanne jeannine deana aileen lorie ladonna willa manuela gale selma
dolly sybil abby lara dale ivy dee winnie marcy luisa jeri magdalena ofelia meagan audra matilda leila
cornelia bianca simone bettye randi virgie latisha barbra georgina eliza leann bridgette rhoda haley adela
nola bernadine flossie ila greta ruthie nelda minerva lilly terrie letha hilary estela valarie brianna rosalyn
earline catalina ava mia zoe chloe isabella ethan aaliyah kaylee hailey mackenzie madison brooklyn avery
"""

_SURNAMES = """
smith johnson williams jones brown davis miller wilson moore taylor anderson thomas jackson white harris martin
thompson garcia martinez robinson clark rodriguez lewis lee walker hall allen young hernandez king wright lopez
hill scott green adams baker gonzalez nelson carter mitchell perez roberts turner phillips campbell parker
evans edwards collins stewart sanchez morris rogers reed cook morgan bell murphy bailey rivera cooper
richardson cox howard ward torres peterson gray ramirez james watson brooks kelly sanders price bennett wood
barnes ross henderson coleman jenkins perry powell long patterson hughes flores washington butler simmons
foster gonzales bryant alexander russell griffin diaz hayes myers ford hamilton graham sullivan wallace woods
cole west jordan owens reynolds fisher ellis harrison gibson mcdonald cruz marshall ortiz gomez murray freeman
wells webb simpson stevens tucker porter hunter hicks crawford henry boyd mason morales kennedy warren dixon
ramos reyes burns gordon shaw holmes rice robertson hunt black daniels palmer mills nichols grant knight
ferguson rose stone hawkins dunn perkins hudson spencer gardner stephens payne pierce berry matthews arnold
wagner willis ray watkins olson carroll duncan snyder hart cunningham bradley lane andrews ruiz harper fox
riley armstrong carpenter weaver greene lawrence elliott chavez sims austin peters kelley franklin lawson
fields gutierrez ryan schmidt carr vasquez castillo wheeler chapman oliver montgomery richards williamson
johnston banks meyer bishop mccoy howell alvarez morrison hansen fernandez garza harvey little burton stanley
nguyen george jacobs reid kim fuller lynch dean gilbert garrett romero welch larson frazier burke hanson day
mendoza moreno bowman medina fowler brewer hoffman carlson silva pearson holland douglas fleming jensen vargas
byrd davidson hopkins may terry herrera wade soto walters curtis neal caldwell lowe jennings barnett graves
jimenez horton shelton barrett obrien castro sutton gregory mckinney lucas miles craig rodriquez chambers holt
lambert fletcher watts bates hale rhodes pena beck newman haynes mcdaniel mendez bush vaughn parks dawson
santiago norris hardy love steele curry powers schultz barker guzman page munoz ball keller chandler weber
leonard walsh lyons ramsey wolfe schneider mullins benson sharp bowen daniel barber cummings hines baldwin
griffith valdez hubbard salazar reeves warner stevenson burgess santos tate cross garner mann mack moss
thornton dennis mcgee farmer delgado aguilar vega glover manning cohen harmon rodgers robbins newton todd
blair higgins ingram reese cannon strickland townsend potter goodwin walton rowe hampton ortega patton swanson
joseph francis goodman maldonado yates becker erickson hodges rios conner adkins webster norman malone hammond
flowers cobb moody quinn blake maxwell pope floyd osborne paul mccarthy guerrero lindsey estrada sandoval
gibbs tyler gross fitzgerald stokes doyle sherman saunders wise colon gill alvarado greer padilla simon waters
nunez ballard schwartz mcbride houston christensen klein pratt briggs parsons mclaughlin zimmerman french
buchanan moran copeland roy pittman brady mccormick holloway brock poole frank logan owen bass marsh drake
wong jefferson park morton abbott sparks patrick norton huff clayton massey lloyd figueroa carson bowers
roberson barton tran lamb harrington casey boone cortez clarke mathis singleton wilkins cain bryan underwood
hogan mckenzie collier luna phelps mcguire allison bridges wilkerson nash summers atkins patel khan chen wang
singh li liu wu zhang yang shah ahmed ali hussain lin chang huang cho choi park ng pham le ho murphy kowalski
nowak russo esposito romano ricci marino bruno conti rizzo gallo ferrara santoro caruso deluca lombardi
kaplan levine friedman goldberg rosenberg katz weiss bernstein shapiro siegel rossi colombo bianchi mancini
gagnon roy bouchard tremblay cote gauthier morin pelletier levesque michaud ouellette theriault dube rosario
acosta ayala rosado velez nieves maldonado camacho cardona feliciano quinones santana
"""

_AND_PLACES_OR_WORDS = """
warren vernon chester clinton morris sherman madison franklin kent sharon bethany brooklyn monroe washington
thompson preston shelton sterling hampton bradford austin dallas charlotte florence virginia georgia carolina
jackson jefferson lincoln houston hamilton montgomery cleveland orlando aurora geneva columbia lee west union
holland park parks fields banks wells waters bridges hill hall wood woods stone lane page day may april june
august autumn summer black brown white green gray rose violet hazel amber ruby pearl jade opal crystal olive
ginger daisy lily ivy iris fern hope faith joy charity melody harmony grace guy van will grant chase max miles
art bill pat rusty cliff heath dale glen page marsh cross long little sharp love young king bishop
pope knight farmer cook baker carpenter weaver taylor mason hunter fisher potter parker porter butler barber
miller turner walker clark marshall warner cannon steele price rice french english ward noble major junior
santiago rosario mercedes milton marion newton norton barker salem berlin oxford bristol plymouth sparks
brain ball bell berry bush bass drake fox wolfe lamb byrd moss flowers graves power powers wise cobb hale
"""

GIVEN = frozenset(_GIVEN.split())
"""Given names, lower case."""

SURNAMES = frozenset(_SURNAMES.split())
"""Surnames, lower case."""

ALSO_OTHER_THINGS = frozenset(_AND_PLACES_OR_WORDS.split())
"""Names that are towns of Connecticut, colours, months, trades or words too: by themselves they say nothing."""

NOT_PEOPLE = (
    "llc", "inc", "corp", "co", "company", "ltd", "llp", "assoc", "associates", "association", "services", "group",
    "school", "academy", "college", "university", "church", "hospital", "center", "centre", "clinic", "library",
    "street", "st", "ave", "avenue", "road", "rd", "drive", "dr", "lane", "ln", "blvd", "boulevard", "court", "ct",
    "way", "place", "pl", "plaza", "park", "square", "terrace", "circle", "highway", "hwy", "route", "bridge",
    "house", "home", "hotel", "motel", "inn", "store", "shop", "market", "restaurant", "farm", "farms", "club",
    "and", "of", "the", "at", "in", "for", "county", "city", "town", "lake", "river", "beach", "hall", "building",
    "foundation", "trust", "bank", "partners", "solutions", "enterprises", "construction", "residence", "elementary",
    "magnet", "middle", "high", "brothers", "sons", "auto", "motors", "realty", "title", "fund", "memorial",
)  # fmt: skip
"""Words that make a cell something other than one person's name."""
